package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/tappet-dev/tappet/sdk"
)

// classify gives err its kind; see Client.Do. What ended the call's context
// comes first, since it shows as all sorts of errors.
func classify(err error, w *watch) error {
	if w.ctx.Err() != nil {
		cause := context.Cause(w.ctx)
		switch {
		case errors.Is(cause, errWhole), errors.Is(cause, errIdle), errors.Is(cause, errDrain):
			return &sdk.Error{Kind: sdk.Timeout, Err: cause}
		case errors.Is(w.ctx.Err(), context.DeadlineExceeded):
			return &sdk.Error{Kind: sdk.Timeout, Err: &callersDeadline{cause}}
		}
		return &sdk.Error{Kind: sdk.Cancelled, Err: cause}
	}
	var e *sdk.Error
	if errors.As(err, &e) {
		return err
	}
	return &sdk.Error{Kind: kindOf(err), Err: explain(err, w.limits)}
}

// callersDeadline is the cause of a timeout that isn't of Limits: the caller may
// have left the service no time.
type callersDeadline struct{ error }

func (d *callersDeadline) Unwrap() error { return d.error }

func kindOf(err error) sdk.Kind {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return sdk.Denied
	}
	var name *net.DNSError
	if errors.As(err, &name) {
		switch {
		case name.IsNotFound:
			return sdk.NotFound
		case name.IsTimeout:
			return sdk.Timeout
		}
		return sdk.Unavailable
	}
	var (
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		alert    tls.AlertError
		hostname x509.HostnameError
	)
	if errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &hostname) {
		return sdk.Failed
	}
	if isTimeout(err) {
		return sdk.Timeout
	}
	for _, cut := range []error{
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE, syscall.EHOSTUNREACH,
		syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
	} {
		if errors.Is(err, cut) {
			return sdk.Unavailable
		}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return sdk.Unavailable
	}
	// The transport has no types for these.
	text := err.Error()
	if isHeaderTooLarge(text) {
		return sdk.TooLarge
	}
	for _, cut := range []string{
		"server closed idle connection", "connection lost", "GOAWAY", "client conn is closed", "client conn not usable",
		"received from peer", // a stream of HTTP/2 that was reset; what we reset, since it wasn't HTTP, is another error
	} {
		if strings.Contains(text, cut) {
			return sdk.Unavailable
		}
	}
	return sdk.Failed
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// isHeaderTooLarge knows the errors of HTTP/1.1 and of HTTP/2.
func isHeaderTooLarge(text string) bool {
	return strings.Contains(text, "response headers exceeded") || strings.Contains(text, "response header list larger") ||
		strings.Contains(text, "header list too large")
}

// explain adds to an error of the transport the limit that it is about.
func explain(err error, l *Limits) error {
	switch text := err.Error(); {
	case isHeaderTooLarge(text):
		return fmt.Errorf("%w: its limit is %d bytes (limits.response_header)", err, l.ResponseHeader)
	case !isTimeout(err):
	case strings.Contains(text, "TLS handshake timeout"):
		return fmt.Errorf("%w: it took longer than %s", err, l.tls())
	case strings.Contains(text, "timeout awaiting response headers"):
		return fmt.Errorf("%w: it took longer than %s", err, l.firstByte())
	}
	return err
}
