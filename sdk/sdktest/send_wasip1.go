package sdktest

import "github.com/tappet-dev/tappet/sdk"

// sendHTTP refuses: a guest has no network, and its tests don't record.
func sendHTTP(*sdk.Request, []byte) Reply {
	return Reply{Err: sdk.Errorf(sdk.Unsupported, "record: this system has no network; record on another")}
}
