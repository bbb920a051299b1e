package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Format is how a document is written.
type Format string

// The formats of documents.
const (
	JSON Format = "application/json"
	YAML Format = "application/yaml"
)

// A Page is one page of a list.
type Page[T any] struct {
	Items []T `json:"items"`
	// NextCursor is empty on the last page.
	NextCursor string `json:"next_cursor"`
}

// A Graph is one graph; lists leave ReadySince, Checks, Draft and DraftProblems
// out.
type Graph struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Labels      map[string]string `json:"labels"`
	Active      bool              `json:"active"`
	Ready       bool              `json:"ready"`
	Version     int               `json:"version"`
	CreatedAt   time.Time         `json:"created_at"`
	UpdatedAt   time.Time         `json:"updated_at"`
	// ReadySince is when Ready became what it is, nil while the graph is OFF.
	ReadySince    *time.Time      `json:"ready_since"`
	Checks        []Check         `json:"checks"`
	Draft         json.RawMessage `json:"draft"`
	DraftProblems []ProblemError  `json:"draft_problems"`
}

// A Check is one part of readiness.
type Check struct {
	Part   string `json:"part"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// An Activation is what a switch of a graph came to.
type Activation struct {
	Active bool    `json:"active"`
	Ready  bool    `json:"ready"`
	Checks []Check `json:"checks"`
}

// A Validation is what is known of a document.
type Validation struct {
	// Name is the one that the document gives, empty when it can't be read.
	Name     string          `json:"name"`
	Valid    bool            `json:"valid"`
	Problems []ProblemError  `json:"problems"`
	Trigger  json.RawMessage `json:"trigger"`
	// Inferred: what the trigger's schema leaves open comes from a sample event.
	Inferred bool                 `json:"inferred"`
	Steps    map[string]StepTypes `json:"steps"`
}

// StepTypes are the types of one step, JSON Schemas.
type StepTypes struct {
	Input  json.RawMessage `json:"input"`
	Output json.RawMessage `json:"output"`
}

// A Version is one published version; lists leave Document out.
type Version struct {
	Version     int             `json:"version"`
	Digest      string          `json:"digest"`
	Evaluator   int             `json:"evaluator"`
	PublishedAt time.Time       `json:"published_at"`
	Document    json.RawMessage `json:"document"`
}

// A GraphQuery selects graphs; zero fields select all.
type GraphQuery struct {
	// Text is looked for in name and description.
	Text string
	// Active selects by ON or OFF; nil: both.
	Active *bool
	// Limit is from 1 to 200; 0 leaves it to the server.
	Limit int
	// Cursor is NextCursor of the page before.
	Cursor string
}

func documentCall(method, path string, src []byte, f Format) call {
	return call{method: method, path: path, header: http.Header{"Content-Type": {string(f)}}, body: src}
}

// CreateGraph creates a graph from its document, which has its name.
func (c *Client) CreateGraph(ctx context.Context, src []byte, f Format) (Graph, error) {
	var g Graph
	_, err := c.do(ctx, documentCall(http.MethodPost, path("graphs"), src, f), &g)
	return g, err
}

// PutDraft replaces the draft of a graph; another name in it renames the graph.
func (c *Client) PutDraft(ctx context.Context, name string, src []byte, f Format) (Graph, error) {
	var g Graph
	_, err := c.do(ctx, documentCall(http.MethodPut, path("graphs", name, "draft"), src, f), &g)
	return g, err
}

// Validate checks a document without storing it.
func (c *Client) Validate(ctx context.Context, src []byte, f Format) (Validation, error) {
	var v Validation
	_, err := c.do(ctx, documentCall(http.MethodPost, path("graphs", "validate"), src, f), &v)
	return v, err
}

// ValidateDraft checks a graph's draft.
func (c *Client) ValidateDraft(ctx context.Context, name string) (Validation, error) {
	return post[Validation](ctx, c, "graphs", name, "validate")
}

// Graph gives a graph with its draft.
func (c *Client) Graph(ctx context.Context, name string) (Graph, error) {
	return get[Graph](ctx, c, nil, "graphs", name)
}

// Document gives a document alone: the draft's for version 0.
func (c *Client) Document(ctx context.Context, name string, version int, f Format) ([]byte, error) {
	q := url.Values{"draft": {"true"}}
	if version != 0 {
		q = url.Values{"version": {strconv.Itoa(version)}}
	}
	var b []byte
	_, err := c.do(ctx, call{
		method: http.MethodGet, path: path("graphs", name), query: q, header: http.Header{"Accept": {string(f)}},
	}, &b)
	return b, err
}

// Graphs gives one page of graphs by name.
func (c *Client) Graphs(ctx context.Context, q GraphQuery) (Page[Graph], error) {
	v := url.Values{}
	set(v, "q", q.Text)
	if q.Active != nil {
		v.Set("active", strconv.FormatBool(*q.Active))
	}
	setInt(v, "limit", q.Limit)
	set(v, "cursor", q.Cursor)
	return get[Page[Graph]](ctx, c, v, "graphs")
}

// DeleteGraph deletes a graph; with force although runs are open.
func (c *Client) DeleteGraph(ctx context.Context, name string, force bool) error {
	q := url.Values{"force": {strconv.FormatBool(force)}}
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("graphs", name), query: q}, nil)
	return err
}

// Publish makes the draft a version.
func (c *Client) Publish(ctx context.Context, name string) (Version, error) {
	return post[Version](ctx, c, "graphs", name, "publish")
}

// Versions lists the versions of a graph, newest first.
func (c *Client) Versions(ctx context.Context, name string) ([]Version, error) {
	p, err := get[Page[Version]](ctx, c, nil, "graphs", name, "versions")
	return p.Items, err
}

// Version gives a version with its document.
func (c *Client) Version(ctx context.Context, name string, number int) (Version, error) {
	return get[Version](ctx, c, nil, "graphs", name, "versions", strconv.Itoa(number))
}

// Activate turns a graph ON; a *Problem of status 409 has Checks that name what
// failed.
func (c *Client) Activate(ctx context.Context, name string) (Activation, error) {
	return post[Activation](ctx, c, "graphs", name, "activate")
}

// Deactivate turns a graph OFF.
func (c *Client) Deactivate(ctx context.Context, name string) (Activation, error) {
	return post[Activation](ctx, c, "graphs", name, "deactivate")
}

func set(v url.Values, name, value string) {
	if value != "" {
		v.Set(name, value)
	}
}

func setInt(v url.Values, name string, n int) {
	if n != 0 {
		v.Set(name, strconv.Itoa(n))
	}
}
