package api

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/tappet-dev/tappet/engine"
)

// Options are what a server is made of.
type Options struct {
	// Engine is required.
	Engine Engine
	// Auth knows the tokens; required.
	Auth Authenticator
	// Plugins lists the plugins; nil: there are none.
	Plugins Plugins
	// Connections and Secrets keep what requests are sent with; nil: there is none.
	Connections Connections
	Secrets     Secrets
	// PublicURL is where browsers reach this server; "" in tests alone.
	PublicURL string
	// Proxies are those whose X-Forwarded-For is believed, of webhooks.
	Proxies Proxies
	// Ready tells why the server isn't ready; nil: it always is. The reason is
	// shown only to those who have a token.
	Ready func(context.Context) error
	// Log gets internal errors, panics and, at level debug, each request; nil:
	// nothing is logged.
	Log *slog.Logger
	// Curl prints and imports commands; nil: there is no such thing.
	Curl Curl
	// Hosts lists the hosts that are being called; nil: none is.
	Hosts func() []Host
	// Version is the program's, as GET /api/v1/system tells it.
	Version string
	// Limits bound what one caller can cost.
	Limits Limits
}

// A Server answers the whole of Tappet's HTTP. It is safe for concurrent use
// and has no goroutine of its own.
type Server struct {
	engine  Engine
	auth    Authenticator
	plugins Plugins
	proxies Proxies
	ready   func(context.Context) error

	connections Connections
	secrets     Secrets
	public      url.URL
	pages       *template.Template

	hosts   func() []Host
	curl    Curl
	log     *slog.Logger
	version string
	limits  Limits
	bodies  budget // of hooks
	// installs holds the turn of the one plugin that may be taken in at a time.
	installs chan struct{}
	router   *echo.Echo
	openAPI  []byte
}

var _ http.Handler = (*Server)(nil)

// New makes a server. It fails when something required is missing.
func New(o Options) (*Server, error) {
	switch {
	case o.Engine == nil:
		return nil, errors.New("make api server: Options.Engine is missing")
	case o.Auth == nil:
		return nil, errors.New("make api server: Options.Auth is missing")
	}
	s := &Server{
		engine: o.Engine, auth: o.Auth, plugins: o.Plugins, proxies: o.Proxies, ready: o.Ready, log: o.Log,
		version: o.Version, limits: o.Limits.orDefaults(),
	}
	s.installs = make(chan struct{}, 1)
	s.bodies.max = s.limits.HookBodies
	if o.PublicURL != "" {
		u, err := url.Parse(o.PublicURL)
		if err != nil {
			return nil, fmt.Errorf("make api server: public URL: %w", err)
		}
		s.public = *u
	}
	s.pages = newPages()
	if s.connections = o.Connections; s.connections == nil {
		s.connections = noConnections{}
	}
	if s.secrets = o.Secrets; s.secrets == nil {
		s.secrets = noSecrets{}
	}
	if s.plugins == nil {
		s.plugins = noPlugins{}
	}
	if s.hosts = o.Hosts; s.hosts == nil {
		s.hosts = func() []Host { return nil }
	}
	if s.curl = o.Curl; s.curl == nil {
		s.curl = noCurl{}
	}
	if s.ready == nil {
		s.ready = func(context.Context) error { return nil }
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	a := s.routes()
	doc, err := document(a)
	if err != nil {
		return nil, fmt.Errorf("make api server: %w", err)
	}
	s.openAPI = doc
	return s, nil
}

// OpenAPI gives the OpenAPI 3.1 document of the API, indented; api/openapi.json
// is this.
func OpenAPI() ([]byte, error) {
	s := &Server{limits: Limits{}.orDefaults()}
	return document(s.routes())
}

// routes makes the router of all that isn't a hook.
func (s *Server) routes() huma.API {
	e := echo.New()
	e.HTTPErrorHandler = s.routerError
	e.IPExtractor = echo.ExtractIPDirect()
	s.router = e
	e.GET("/openapi.json", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/vnd.oai.openapi+json;version=3.1", s.openAPI)
	})
	a := newREST(e)
	s.graphRoutes(a)
	s.runRoutes(a)
	s.recordRoutes(a)
	s.eventRoutes(a)
	s.connectorRoutes(a)
	s.pluginRoutes(a)
	s.expressionRoutes(a)
	s.connectionRoutes(a)
	s.secretRoutes(a)
	s.systemRoutes(a)
	return a.api
}

// Handler is the server itself.
func (s *Server) Handler() http.Handler { return s }

// HTTPServer makes a server for addr with the timeouts of the limits; the
// caller listens and shuts down.
func (s *Server) HTTPServer(addr string) *http.Server {
	return &http.Server{
		Addr: addr, Handler: s,
		MaxHeaderBytes:    s.limits.Header,
		ReadHeaderTimeout: s.limits.ReadHeader,
		ReadTimeout:       s.limits.Read,
		WriteTimeout:      s.limits.Write,
		IdleTimeout:       s.limits.Idle,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

const hooksPrefix = "/hooks/"

// ServeHTTP answers one request. Hooks don't pass the router: their path is
// the engine's, and they are the hot path.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := newCall(w, r)
	defer s.end(c, time.Now())
	path := r.URL.EscapedPath()
	if below, ok := strings.CutPrefix(path, hooksPrefix); ok {
		s.hook(c, below)
		return
	}
	if s.oauth(c, path) {
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if !isOpen(path) {
		if p := s.unauthorized(r); p != nil {
			c.fail(p)
			return
		}
	}
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil { // URL.Query would leave out what it can't read
		c.fail(classOfStatus(http.StatusBadRequest).problem("the query can't be read: " + err.Error()))
		return
	}
	s.router.ServeHTTP(c, c.request())
}

// isOpen lists the routes that need no token, beside the hooks.
func isOpen(path string) bool { return path == "/healthz" || path == "/readyz" }

// unauthorized gives nil when the request bears a token that is known.
func (s *Server) unauthorized(r *http.Request) *Problem {
	const challenge = `Bearer realm="tappet"`
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return classOfStatus(http.StatusUnauthorized).problem(
			"the header Authorization is missing; send: Authorization: Bearer <token>").
			with("WWW-Authenticate", challenge)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if len(values) > 1 || !strings.EqualFold(scheme, "bearer") || token == "" {
		return classOfStatus(http.StatusUnauthorized).problem(
			"the header Authorization is not of the form: Bearer <token>").
			with("WWW-Authenticate", challenge)
	}
	if !s.auth.Authenticate(token) {
		return classOfStatus(http.StatusUnauthorized).problem("the token is not known").
			with("WWW-Authenticate", challenge+`, error="invalid_token"`)
	}
	return nil
}

// routerError answers what echo's router refuses.
func (s *Server) routerError(err error, ec echo.Context) {
	c := callOf(ec.Request().Context())
	if c == nil {
		return // only a request that didn't come through ServeHTTP has none
	}
	he, ok := errors.AsType[*echo.HTTPError](err)
	if !ok {
		c.fail(s.problem(c, err))
		return
	}
	status := he.Code
	if below, ok := strings.CutPrefix(c.r.URL.Path, runsPath); ok && status == http.StatusMethodNotAllowed {
		// What can't be a run's id is no resource at all, whatever the method.
		run, _, _ := strings.Cut(below, "/")
		if _, err := engine.ParseRunID(run); err != nil {
			status = http.StatusNotFound
			ec.Response().Header().Del("Allow")
		}
	}
	switch status {
	case http.StatusNotFound:
		c.fail(classOf(engine.NotFound).problem("there is nothing at this path; GET /openapi.json lists what there is"))
	case http.StatusMethodNotAllowed:
		allow := ec.Response().Header().Get("Allow")
		if strings.Contains(allow, http.MethodGet) {
			allow = "HEAD, " + allow
		}
		c.fail(classOf(engine.MethodNotAllowed).
			problem(fmt.Sprintf("%.20s is not allowed at this path; %s are", c.r.Method, allow)).with("Allow", allow))
	default:
		c.fail(classOfStatus(status).problem(fmt.Sprint(he.Message)))
	}
}

// problem tells err to the caller, and to the log what the caller isn't told.
func (s *Server) problem(c *call, err error) *Problem {
	p := problemOf(err)
	if p.Status >= http.StatusInternalServerError {
		level := slog.LevelError
		switch {
		case p.Status == http.StatusServiceUnavailable: // whoever caused it has said so, once
			level = slog.LevelDebug
		case c.r.Context().Err() != nil: // the caller is gone: nobody was failed
			level = slog.LevelDebug
		}
		s.log.Log(c.r.Context(), level, "request failed", "error", err, "request_id", c.id, "method", c.r.Method,
			"path", c.r.URL.Path)
	}
	return p
}
