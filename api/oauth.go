package api

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/engine"
)

// The addresses that a browser opens while a connection is authorised. They need
// no token: a ticket that is good for one use opens the first, and a state and a
// cookie that belong together the second.
const (
	oauthStart    = "/oauth/start/"
	oauthCallback = "/oauth/callback"
)

// oauth answers them; false: the path is another.
func (s *Server) oauth(c *call, path string) bool {
	ticket, start := strings.CutPrefix(path, oauthStart)
	if !start && path != oauthCallback {
		return false
	}
	h := c.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	switch {
	case c.r.Method != http.MethodGet: // also HEAD, which would use it up
		h.Set("Allow", http.MethodGet)
		s.page(c, http.StatusMethodNotAllowed, "This address is opened in a browser.", "")
	case start:
		s.startAuthorization(c, ticket)
	default:
		s.endAuthorization(c)
	}
	return true
}

func (s *Server) startAuthorization(c *call, ticket string) {
	x, err := s.connections.StartAuthorization(c.r.Context(), ticket)
	if err != nil {
		s.refusePage(c, err)
		return
	}
	http.SetCookie(c, s.cookie(x.CookieName, x.Cookie, x.MaxAge))
	c.Header().Set("Location", x.Location)
	c.WriteHeader(http.StatusSeeOther)
}

func (s *Server) endAuthorization(c *call) {
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		s.page(c, http.StatusBadRequest, "It wasn't authorised.", "the query of this address can't be read")
		return
	}
	x, err := s.connections.EndAuthorization(c.r.Context(), query, func(name string) string {
		found := c.r.CookiesNamed(name)
		if len(found) != 1 {
			return ""
		}
		return found[0].Value
	})
	if err != nil {
		s.refusePage(c, err)
		return
	}
	http.SetCookie(c, s.cookie(x.CookieName, "", -time.Second))
	if x.ReturnTo != "" {
		c.Header().Set("Location", x.ReturnTo)
		c.WriteHeader(http.StatusSeeOther)
		return
	}
	s.page(c, http.StatusOK, "The connection "+x.Connection+" is authorised.", "You can close this window.")
}

// cookie makes a cookie that goes to the callback alone, at the path at which
// browsers see it; one with a negative age takes it away.
func (s *Server) cookie(name, value string, age time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: s.public.Path + oauthCallback, MaxAge: int(age / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.public.Scheme == "https",
	}
}

// refusePage tells err to the one at the browser, who may be anybody.
func (s *Server) refusePage(c *call, err error) {
	p := s.problem(c, err)
	status, detail := p.Status, p.Detail
	if engine.KindOf(err) == engine.Invalid {
		status = http.StatusBadRequest
	}
	s.page(c, status, "It wasn't authorised.", detail)
}

// page writes a page of two sentences, escaped.
func (s *Server) page(c *call, status int, title, text string) {
	c.Header().Set("Content-Type", "text/html; charset=utf-8")
	c.WriteHeader(status)
	_ = s.pages.Execute(c, struct{ Title, Text string }{title, text}) // the browser may be gone
}

// newPages makes the template of what a person sees without the editor.
func newPages() *template.Template {
	return template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Tappet</title>
<h1>{{.Title}}</h1><p>{{.Text}}</p></html>
`))
}
