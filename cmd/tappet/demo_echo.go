package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// What the receiver's /digest wants.
const (
	echoUser     = "ada"
	echoPassword = "plum-7731"
	echoRealm    = "demo"
	// echoNonce is always the same: nobody is kept out by a demo.
	echoNonce = "7c1f0e"
)

// echo repeats what it was asked with, so that one can see what a connection adds.
func (r *receiver) echo(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	headers := map[string]string{}
	for name, values := range q.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // a caller who is gone can't be told
		"method": q.Method, "url": q.URL.RequestURI(), "headers": headers, "body": string(body),
	})
}

// digest wants a proof of its one user's password (RFC 7616), and then echoes.
func (r *receiver) digest(w http.ResponseWriter, q *http.Request) {
	given := map[string]string{}
	for _, m := range regexp.MustCompile(`(\w+)="?([^",]*)`).FindAllStringSubmatch(q.Header.Get("Authorization"), -1) {
		given[m[1]] = m[2]
	}
	want := digestSum(digestSum(echoUser, echoRealm, echoPassword), echoNonce, given["nc"], given["cnonce"], "auth", digestSum(q.Method, q.URL.RequestURI()))
	if given["username"] != echoUser || given["nonce"] != echoNonce || subtle.ConstantTimeCompare([]byte(given["response"]), []byte(want)) != 1 {
		w.Header().Set("WWW-Authenticate", `Digest realm="`+echoRealm+`", nonce="`+echoNonce+`", qop="auth", algorithm=SHA-256`)
		http.Error(w, "prove the password", http.StatusUnauthorized)
		return
	}
	r.echo(w, q)
}

func digestSum(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(sum[:])
}
