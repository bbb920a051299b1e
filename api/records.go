package api

import (
	"context"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tappet-dev/tappet/engine"
)

// recordRoutes adds the calls of what runs leave.
func (s *Server) recordRoutes(a rest) {
	add(a, s, operation{
		id: "delete-run", method: http.MethodDelete, path: runsPath + "{run}", tag: tagRuns,
		summary: "Delete a run",
		more: "With its event, its steps and its files, whose bytes go when no other run has them. Refused while it is " +
			"open. Its de-duplication key stays: its event, sent again, starts no second run.",
		answers: map[int]answerDoc{204: {text: "Deleted."}},
		errors:  []int{404, 409},
	}, func(ctx context.Context, in *runInput) (*reply, error) {
		id, err := engine.ParseRunID(in.Run)
		if err != nil {
			return nil, err
		}
		if err := s.engine.DeleteRun(ctx, id); err != nil {
			return nil, err
		}
		return &reply{Status: http.StatusNoContent}, nil
	})
	add(a, s, operation{
		id: "get-run-file", method: http.MethodGet, path: runsPath + "{run}/files/{file}", tag: tagRuns,
		summary: "Download a file of a run",
		more:    "As an attachment, in parts if Range asks for them (RFC 9110, 14).",
		answers: map[int]answerDoc{200: {text: "The file's bytes.", bytes: true}},
		errors:  []int{404, 416},
	}, s.download)
}

type fileInput struct {
	Run  string `path:"run" doc:"The run's id." example:"019ab2f4-6c00-7a51-b3c1-2f9d64c0a5e7"`
	File string `path:"file" doc:"The file's id, as the run's event and outputs give it." example:"1f0c9a52d3b84e6fa07c5d1b2e3f4a5b"`
}

func (s *Server) download(ctx context.Context, in *fileInput) (*huma.StreamResponse, error) {
	run, err := engine.ParseRunID(in.Run)
	if err != nil {
		return nil, err
	}
	f, r, err := s.engine.OpenFile(ctx, run, in.File)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(huma.Context) {
		defer r.Close()
		s.sendFile(callOf(ctx), f, r)
	}}, nil
}

// sendFile sends what a stranger has sent, so that no browser takes it for a
// page of ours.
func (s *Server) sendFile(c *call, f engine.File, r io.ReadSeeker) {
	h := c.Header()
	h.Set("Content-Disposition", "attachment")
	if v := mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}); f.Name != "" && v != "" {
		h.Set("Content-Disposition", v)
	}
	h.Set("Content-Type", "application/octet-stream")
	if media, params, err := mime.ParseMediaType(f.Type); err == nil {
		if v := mime.FormatMediaType(media, params); v != "" {
			h.Set("Content-Type", v)
		}
	}
	h.Set("Content-Security-Policy", hookPolicy)
	h.Set("ETag", `"`+f.Digest+`"`)
	http.ServeContent(&slowWriter{c, http.NewResponseController(c.ResponseWriter), s.limits.Write}, c.r, "", time.Time{}, r)
}

// A slowWriter gives each write the time that an answer has as a whole.
type slowWriter struct {
	*call
	rc    *http.ResponseController
	limit time.Duration
}

// Write implements io.Writer.
func (w *slowWriter) Write(b []byte) (int, error) {
	_ = w.rc.SetWriteDeadline(time.Now().Add(w.limit)) // a writer of tests has none
	return w.call.Write(b)
}
