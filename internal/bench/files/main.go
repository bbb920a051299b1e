// Command files sends one large file through Tappet, in by a webhook's form and
// out by form-data, and prints how long that took and the most memory that the
// server has had. It fails when the file arrives changed, or the memory passes
// a limit.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/tappet-dev/tappet/api/client"
	"github.com/tappet-dev/tappet/internal/bench"
)

func main() {
	size := flag.Int64("size", 2<<30, "bytes of the file")
	limit := flag.Int64("limit", 128<<20, "bytes of memory that the server may take at its peak")
	tappet := flag.String("tappet", "", "path of the tappet binary")
	dir := flag.String("dir", "", "folder for the data; it needs the file's size (default: the system's for temporary files)")
	flag.Parse()
	if err := run(*size, *limit, *tappet, *dir); err != nil {
		log.Fatal(err)
	}
}

func run(size, limit int64, tappet, parent string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp(parent, "tappet-bench-files")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	sink, err := bench.NewFileSink()
	if err != nil {
		return err
	}
	defer func() { _ = sink.Close() }()
	const token = "bench-token-of-a-temporary-folder"
	cmd := exec.Command(tappet, "serve", "--data", filepath.Join(dir, "data"), "--addr", "127.0.0.1:0",
		"--egress-allow", sink.URL[len("http://"):])
	cmd.Env = append(os.Environ(), "TAPPET_ADMIN_TOKEN="+token)
	p, err := bench.Start(ctx, cmd)
	if err != nil {
		return err
	}
	defer func() { _ = p.Kill() }()
	c, err := client.New(p.URL, token, client.Options{})
	if err != nil {
		return err
	}
	if _, err := c.Deploy(ctx, "files", bench.FileGraph(sink.URL), client.YAML); err != nil {
		return err
	}
	began := time.Now()
	sent, status, answer, err := bench.Upload(ctx, p.URL+"/hooks/files", "large.bin", size, 1)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return fmt.Errorf("the upload was answered %d: %s", status, answer)
	}
	in := time.Since(began)
	for len(sink.Files()) == 0 {
		if ctx.Err() != nil {
			return fmt.Errorf("the file didn't arrive: %w\n%s", ctx.Err(), p.Output())
		}
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(began)
	sent.Field = "Attachments[]" // the graph's name for it
	if got := sink.Files()[0]; got != sent {
		return fmt.Errorf("sent %+v, arrived %+v", sent, got)
	}
	peak, err := bench.PeakRSS(p.Pid())
	if err != nil {
		return err
	}
	mb := func(n int64) int64 { return n >> 20 }
	fmt.Printf("A file of %d MB, in by a webhook's form and out by form-data: in %.1f s (%.0f MB/s), all in %.1f s; the server's peak RSS is %d MB, the limit %d MB.\n",
		mb(size), in.Seconds(), float64(mb(size))/in.Seconds(), took.Seconds(), mb(peak), mb(limit))
	if peak > limit {
		return fmt.Errorf("the peak of memory passes the limit")
	}
	return nil
}
