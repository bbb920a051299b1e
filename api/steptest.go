package api

import (
	"context"
	"net/http"

	"github.com/tappet-dev/tappet/engine"
)

// Curl translates between requests of steps and commands of curl. It is safe
// for concurrent use.
type Curl interface {
	// Print gives a command that sends a request, and notes of what it can't say.
	Print(engine.Preview) (command string, notes []string, err error)
	// Import makes a step of a command; with problems there is none.
	Import(command string) (ImportedStep, []ProblemError)
}

// noCurl is for servers that were made without.
type noCurl struct{}

func (noCurl) Print(engine.Preview) (command string, notes []string, err error) {
	return "", nil, &engine.Error{Kind: engine.NotFound, Op: "print as curl"}
}

func (noCurl) Import(string) (ImportedStep, []ProblemError) {
	return ImportedStep{}, []ProblemError{{Code: "not_available", Message: "this server doesn't import commands"}}
}

// stepTestInput are the parameters of the calls about one step.
type stepTestInput struct {
	Graph   string `path:"graph" doc:"The graph's name." example:"task-completed"`
	Step    string `path:"step" doc:"The step's id." example:"entry"`
	Version int    `query:"version" minimum:"1" doc:"A published version; left out, it is the draft." example:"3"`
}

// stepTestRoutes adds the calls that try one step.
func (s *Server) stepTestRoutes(a rest) {
	step := graphsPath + "/{graph}/steps/{step}"
	body := a.jsonRequest("What the step sees; without a body it is {}.", StepTestRequest{})
	body.Required = false
	add(a, s, operation{
		id: "test-step", method: http.MethodPost, path: step + "/test", tag: tagGraphs,
		summary: "Test a step",
		more: "Makes one real call of the step's action, as a run would, and shows exactly what was sent and what came back. " +
			"Nothing is stored, nothing is repeated, and it takes at most 60 seconds. Secrets and the values of Authorization, " +
			"Cookie and the like are ***. That the step fails is answered with 200, too: it is what was asked for.",
		body:    body,
		answers: map[int]answerDoc{200: {text: "What the step did.", body: StepTestResult{}}},
		errors:  []int{404, 413, 415},
	}, func(ctx context.Context, in *stepTestInput) (*reply, error) {
		q, err := s.stepTest(ctx, in)
		if err != nil {
			return nil, err
		}
		out, err := s.engine.TestStep(ctx, q)
		if err != nil {
			return nil, err
		}
		v := stepTestResultOf(out)
		// The same event, though another run may have come since.
		if q.Event == nil && q.Run.IsZero() {
			q.Run = out.Run
		}
		if printed, err := s.printStep(ctx, q); err == nil {
			v.Curl = printed.Command
		}
		return jsonReply(http.StatusOK, v)
	})
	const printMore = "The command sends what the step would send; nothing is sent now, and no secret is looked up: " +
		`secrets are "$TAPPET_SECRET_NAME", files @name.`
	printed := map[int]answerDoc{200: {text: "The command.", body: CurlCommand{}}}
	add(a, s, operation{
		id: "print-step", method: http.MethodGet, path: step + "/curl", tag: tagGraphs,
		summary: "Print a step as a command of curl", more: printMore,
		answers: printed, errors: []int{404},
	}, func(ctx context.Context, in *struct {
		Graph   string `path:"graph" doc:"The graph's name." example:"task-completed"`
		Step    string `path:"step" doc:"The step's id." example:"entry"`
		Version int    `query:"version" minimum:"1" doc:"A published version; left out, it is the draft." example:"3"`
		Run     string `query:"run" maxLength:"36" doc:"The run whose event and outputs the step sees; left out, it is the graph's newest one." example:"019ab2f4-6c00-7a51-b3c1-2f9d64c0a5e7"`
	},
	) (*reply, error) {
		q := engine.StepTest{Graph: in.Graph, Step: in.Step, Version: in.Version}
		if in.Run != "" {
			var err error
			if q.Run, err = engine.ParseRunID(in.Run); err != nil {
				return nil, invalidParameter("run", "it is no id of a run")
			}
		}
		v, err := s.printStep(ctx, q)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, v)
	})
	add(a, s, operation{
		id: "print-step-with", method: http.MethodPost, path: step + "/curl", tag: tagGraphs,
		summary: "Print a step with data of yours as a command of curl", more: printMore, body: body,
		answers: printed, errors: []int{404, 413, 415},
	}, func(ctx context.Context, in *stepTestInput) (*reply, error) {
		q, err := s.stepTest(ctx, in)
		if err != nil {
			return nil, err
		}
		v, err := s.printStep(ctx, q)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, v)
	})
	add(a, s, operation{
		id: "import-curl", method: http.MethodPost, path: "/api/v1/connectors/http/curl", tag: tagConnectors,
		summary: "Make a step of a command of curl",
		more: "Nothing is run or stored. What the step can't carry over is a warning, and so is a credential: a secret " +
			"stands in its place.",
		body:    a.jsonRequest("The command, as it was pasted.", CurlCommandRequest{}),
		answers: map[int]answerDoc{200: {text: "The step.", body: ImportedStep{}}},
		errors:  []int{413, 415},
	}, func(ctx context.Context, _ *struct{}) (*reply, error) {
		var in CurlCommandRequest
		if err := s.jsonBody(ctx, &in); err != nil {
			return nil, err
		}
		v, problems := s.curl.Import(in.Command)
		if len(problems) > 0 {
			return nil, classOf(engine.Invalid).problem(problems[0].text(), problems...)
		}
		v.Warnings = list(v.Warnings)
		return jsonReply(http.StatusOK, v)
	})
}

// stepTest reads the body of a test; there may be none.
func (s *Server) stepTest(ctx context.Context, in *stepTestInput) (engine.StepTest, error) {
	q := engine.StepTest{Graph: in.Graph, Step: in.Step, Version: in.Version}
	b, err := s.eventBody(ctx)
	if err != nil {
		return q, err
	}
	var body StepTestRequest
	if err := strict(b, &body, s.limits.Depth); err != nil {
		return q, err
	}
	q.Event, q.Steps = body.Event, body.Steps
	if body.Run != "" {
		if q.Run, err = engine.ParseRunID(body.Run); err != nil {
			x := ProblemError{Pointer: "/run", Code: "format", Message: "it is no id of a run"}
			return q, classOf(engine.Invalid).problem(x.text(), x)
		}
	}
	return q, nil
}

func (s *Server) printStep(ctx context.Context, q engine.StepTest) (CurlCommand, error) {
	var v CurlCommand
	err := s.engine.PreviewStep(ctx, q, func(p engine.Preview) (err error) {
		v.Command, v.Notes, err = s.curl.Print(p)
		return err
	})
	v.Notes = list(v.Notes)
	return v, err
}
