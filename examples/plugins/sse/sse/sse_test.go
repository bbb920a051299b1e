package sse_test

import (
	"testing"

	"github.com/tappet-dev/tappet/examples/plugins/sse/sse"
	"github.com/tappet-dev/tappet/examples/plugins/trials"
	"github.com/tappet-dev/tappet/sdk/sdktest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	sdktest.Run(t, sdktest.InProcess(sse.Connector), trials.SSE())
}
