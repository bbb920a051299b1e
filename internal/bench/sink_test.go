package bench_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/tappet-dev/tappet/internal/bench"
)

func TestQuietWaitsForWhatWasSent(t *testing.T) {
	t.Parallel()
	sink, err := bench.NewSink("")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	var got []string
	sink.Record = func(r *http.Request, body []byte) { got = append(got, r.Method+" "+r.URL.Path+" "+string(body)) }
	conn, err := net.Dial("tcp", sink.URL[len("http://"):])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := sink.Quiet(short); err == nil {
		t.Error("a sink with an open connection is quiet")
	}
	// The whole request stands in the connection when its sender goes.
	if _, err := io.WriteString(conn, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	long, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := sink.Quiet(long); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0] != "POST /a hi" || sink.Count() != 1 {
		t.Errorf("%d counted, %q recorded; the one POST is wanted", sink.Count(), got)
	}
}
