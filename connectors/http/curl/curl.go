// Package curl translates between steps of the http connector and commands of
// curl: [Parse] makes a step of a command that somebody has pasted, and [Print]
// makes a command of a request.
//
// It runs nothing and opens no file: a command is text. Its one rule: a step
// sends what the command would have sent, and what it can't carry over is told,
// never dropped in silence. A credential isn't copied into a graph: the name of
// a secret stands in its place.
package curl

import (
	"encoding/json"
	"fmt"
	"strings"
)

// MaxCommand is how many bytes a command may have.
const MaxCommand = 1 << 20

// A Step is what a command means as a step.
type Step struct {
	// Use is the action: http.get, http.post, http.put or http.custom.
	Use string
	// Timeout is the step's, such as "30s"; empty: the command sets none.
	Timeout string
	// With is the step's `with`, a JSON object. A ${{ of the command is $${{ in it.
	With json.RawMessage
	// Warnings say what couldn't be carried over as it is, and what to do.
	Warnings []string
}

// A Problem is why a command can't become a step.
type Problem struct {
	// Offset counts the bytes of the command before the place.
	Offset  int
	Message string
}

// Error gives place and message.
func (p Problem) Error() string { return fmt.Sprintf("byte %d: %s", p.Offset, p.Message) }

// Parse reads a command as a POSIX shell (and $'…' as bash) would, and makes a
// step of it. With problems there is no step.
func Parse(command string) (Step, []Problem) {
	if len(command) > MaxCommand {
		return Step{}, []Problem{{Message: fmt.Sprintf("the command has %d bytes, at most %d are read", len(command), MaxCommand)}}
	}
	words, warnings, problems := split(command)
	if len(words) > 0 && words[0].text == "$" {
		words = words[1:] // a prompt that was copied along
	}
	if len(words) == 0 || !isCurl(words[0].text) {
		if len(problems) == 0 {
			problems = []Problem{{Message: "this is no curl command: it must begin with curl"}}
		}
		return Step{}, problems
	}
	r := reader{words: words[1:], warnings: warnings, problems: problems}
	r.read()
	if len(r.problems) > 0 {
		return Step{}, r.problems
	}
	b := builder{reader: &r}
	step := b.step()
	if len(r.problems) > 0 {
		return Step{}, r.problems
	}
	step.Warnings = r.warnings
	return step, nil
}

// isCurl says whether a word names the program.
func isCurl(word string) bool {
	name := word[strings.LastIndexAny(word, `/\`)+1:]
	return name == "curl" || name == "curl.exe"
}
