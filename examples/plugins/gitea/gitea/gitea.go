// Package gitea is a connector that writes issues into Gitea, Forgejo and what
// speaks their API.
//
// It is an example of an action with a secret, a check and a choice, not a whole
// client. Its one rule: the token goes into a header and nowhere else.
package gitea

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tappet-dev/tappet/sdk"
)

// Secret is the name of the access token.
const Secret = "gitea_token"

// maxBody is the most bytes of a response that are read.
const maxBody = 1 << 20

// Server is where the API is.
type Server struct {
	URL string `json:"url" title:"Server" description:"Such as https://git.example.com." format:"uri"`
}

// NewIssue is what the action is given.
type NewIssue struct {
	URL        string `json:"url" title:"Server" description:"Such as https://git.example.com." format:"uri"`
	Repository string `json:"repository" title:"Repository" description:"Owner and name, such as ops/alerts." options:"repositories"`
	Title      string `json:"title" title:"Title"`
	Text       string `json:"text,omitempty" title:"Text" description:"In Markdown."`
}

// Issue is what the action gives.
type Issue struct {
	Number int    `json:"number" title:"Number"`
	URL    string `json:"url" title:"Address" description:"The issue's page."`
}

// Connector gives the connector.
func Connector() sdk.Connector {
	create := sdk.Do("create_issue", "Create an issue", createIssue)
	create.Description = "Writes a new issue. The API has no key for repeats: done twice, there are two."
	return sdk.Connector{
		Name: "gitea", Title: "Gitea", Version: "1.0.0",
		Description: "Writes issues into Gitea and Forgejo.",
		Needs:       sdk.Needs{HTTP: []string{"{url}"}, Secrets: []string{Secret}},
		Actions:     []sdk.Action{create},
		Check: sdk.Check(func(ctx context.Context, h sdk.Host, s Server) error {
			return call(ctx, h, s.URL, "GET", "/user", nil, nil)
		}),
		Options: []sdk.Chooser{sdk.Options("repositories", "Repositories of the token's owner", repositories)},
	}
}

func createIssue(ctx context.Context, h sdk.Host, in NewIssue) (Issue, error) {
	owner, name, ok := strings.Cut(in.Repository, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return Issue{}, sdk.Errorf(sdk.Invalid, "input: repository: %q is not an owner and a name, such as ops/alerts", in.Repository)
	}
	var got struct {
		Number int    `json:"number"`
		URL    string `json:"html_url"`
	}
	path := "/repos/" + url.PathEscape(owner) + "/" + url.PathEscape(name) + "/issues"
	err := call(ctx, h, in.URL, "POST", path, map[string]string{"title": in.Title, "body": in.Text}, &got)
	return Issue(got), err
}

func repositories(ctx context.Context, h sdk.Host, s Server) ([]sdk.Option, error) {
	var got []struct {
		Name string `json:"full_name"`
		Text string `json:"description"`
	}
	if err := call(ctx, h, s.URL, "GET", "/user/repos?limit=50", nil, &got); err != nil {
		return nil, err
	}
	var out []sdk.Option
	for _, r := range got {
		title := r.Name
		if r.Text != "" {
			title += ": " + r.Text
		}
		out = append(out, sdk.OptionOf(r.Name, title))
	}
	return out, nil
}

// call sends one request to the API and reads its answer into out.
func call(ctx context.Context, h sdk.Host, server, method, path string, in, out any) error {
	token, err := h.Secret(ctx, Secret)
	if err != nil {
		return err
	}
	req := &sdk.Request{Method: method, URL: strings.TrimSuffix(server, "/") + "/api/v1" + path, Header: sdk.Header{
		{Name: "Authorization", Value: "token " + token}, {Name: "Accept", Value: "application/json"},
	}}
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		req.Header.Add("Content-Type", "application/json")
		req.Body, req.Size = bytes.NewReader(b), int64(len(b))
	}
	resp, err := h.HTTP(ctx, req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.Status/100 != 2 {
		return refused(resp)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return err
	case len(body) > maxBody:
		return sdk.Errorf(sdk.TooLarge, "the server's answer has more than %d bytes", maxBody)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return sdk.Errorf(sdk.Failed, "the server's answer is not the JSON of its API: %w", err)
	}
	return nil
}

// refused gives a status its kind.
func refused(r *sdk.Response) error {
	kind := sdk.Failed
	switch {
	case r.Status == 401:
		kind = sdk.Unauthorized
	case r.Status == 403:
		kind = sdk.Denied
	case r.Status == 404:
		kind = sdk.NotFound
	case r.Status == 422:
		kind = sdk.Invalid
	case r.Status == 429:
		kind = sdk.RateLimited
	case r.Status >= 500:
		kind = sdk.Unavailable
	}
	e := sdk.Errorf(kind, "the server answered with status %d", r.Status)
	if s, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(min(s, 24*60*60)) * time.Second
	}
	return e
}
