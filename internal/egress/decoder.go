package egress

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/tappet-dev/tappet/sdk"
)

// A decoder undoes a Content-Encoding; it begins with the first Read, since
// the beginning of the stream is already one.
type decoder struct {
	coding string
	src    io.Reader
	r      io.Reader
	free   func() // gives back what r holds; nil: nothing
}

// zstdWindow is how much memory a zstd stream may ask for: what every sender
// may count on (RFC 9659).
const zstdWindow = 8 << 20

// close frees what the decoder holds.
func (d *decoder) close() {
	if d.free != nil {
		d.free()
	}
}

func (d *decoder) Read(p []byte) (int, error) {
	if d.r == nil {
		r, err := d.open()
		if err != nil {
			return 0, d.broken(err)
		}
		d.r = r
	}
	n, err := d.r.Read(p)
	if err != nil {
		err = d.broken(err)
	}
	return n, err
}

func (d *decoder) open() (io.Reader, error) {
	buf := bufio.NewReader(d.src)
	head, err := buf.Peek(2)
	if len(head) == 0 {
		return nil, err // an empty body is one in any coding
	}
	switch d.coding {
	case "br":
		return brotli.NewReader(buf), nil
	case "zstd":
		r, err := zstd.NewReader(buf, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return nil, err
		}
		d.free = r.Close
		return r, nil
	case "deflate":
	default:
		return gzip.NewReader(buf)
	}
	// deflate is zlib by the standard (RFC 9110, 8.4.1.2), and bare deflate of
	// some servers: the first two bytes tell.
	if err == nil && head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		return zlib.NewReader(buf)
	}
	return flate.NewReader(buf), nil
}

// broken keeps the wire's errors and the end; others are of the stream.
func (d *decoder) broken(err error) error {
	var e *sdk.Error
	if errors.Is(err, io.EOF) || errors.As(err, &e) {
		return err
	}
	return sdk.Errorf(sdk.Failed, "the response's %s encoding is broken: %w", d.coding, err)
}
