package guest

import (
	"bytes"
	"context"
	"io"

	"github.com/tappet-dev/tappet/sdk"
)

// unread is a host whose receiver refuses a request without reading its body.
type unread struct{ sdk.Host }

func (u *unread) HTTP(context.Context, *sdk.Request) (*sdk.Response, error) {
	return &sdk.Response{Status: 413, Body: io.NopCloser(bytes.NewReader(nil))}, nil
}
