package sdk

import (
	"context"
	"encoding/json"
	"io"
)

// A File is a file of a run as a value: mappings see its members, and its
// bytes stay with the host. Only a field whose schema takes a file (see
// [FileSchema]) may be given one.
type File struct {
	// ID is 128 random bits in hex. It means something under its own run only.
	ID string `json:"file"`
	// Name is what the sender calls the file: data, never a path.
	Name string `json:"name"`
	// Type is a media type such as "image/png".
	Type string `json:"type"`
	// Size is in bytes.
	Size int64 `json:"size"`
}

// FileFormat is the `format` of a schema whose value is a [File].
const FileFormat = "file"

// FileSchema returns the JSON Schema of a [File].
func FileSchema() json.RawMessage {
	return json.RawMessage(`{"type":"object","format":"file","title":"File","required":["file","name","type","size"],` +
		`"additionalProperties":false,"properties":{` +
		`"file":{"type":"string","description":"The id under which its run knows the file."},` +
		`"name":{"type":"string"},"type":{"type":"string","description":"The media type."},` +
		`"size":{"type":"integer","description":"In bytes."}}}`)
}

// Files is what a [Host] that keeps files offers beside its own methods; see
// [FilesOf]. Like the host it belongs to one call.
type Files interface {
	// OpenFile gives a file of the call's run and its bytes, which the caller
	// closes. An id that the run doesn't know is refused with kind not_found.
	OpenFile(ctx context.Context, id string) (File, io.ReadCloser, error)
	// NewFile keeps what r gives until its end, without holding it in memory. The
	// file belongs to the call's run (a webhook's: to the run of its event) once
	// the call's outcome is durable. Over the host's limit: kind too_large.
	NewFile(ctx context.Context, name, mediaType string, r io.Reader) (File, error)
}

// FilesOf gives the files of a host; an error of kind unsupported where it
// keeps none: a plugin's host doesn't carry files yet.
func FilesOf(h Host) (Files, error) {
	if f, ok := h.(Files); ok {
		return f, nil
	}
	return nil, Errorf(Unsupported, "this host keeps no files")
}
