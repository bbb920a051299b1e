package native

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/tappet-dev/tappet/sdk"
)

// recognise refuses a file that can't run here, by its mode and its first
// bytes.
func recognise(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the plugin: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("look at the plugin: %w", err)
	}
	switch {
	case !st.Mode().IsRegular():
		return sdk.Errorf(sdk.Invalid, "not a regular file")
	case st.Size() == 0:
		return sdk.Errorf(sdk.Invalid, "the file is empty; an executable is wanted")
	case runtime.GOOS != "windows" && st.Mode().Perm()&0o111 == 0:
		return sdk.Errorf(sdk.Invalid, "the file is not executable; chmod +x it")
	}
	head := make([]byte, 20)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read the plugin: %w", err)
	}
	if made := madeFor(head[:n], runtime.GOOS, runtime.GOARCH); made != "" {
		return sdk.Errorf(sdk.Invalid, "the file is a program for %s, this machine is %s/%s; build it for that",
			made, runtime.GOOS, runtime.GOARCH)
	}
	return nil
}

// madeFor names the other machine that a program is for, by its first bytes;
// "" if it may run on this one.
func madeFor(head []byte, goos, goarch string) string {
	has := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case has("\x7fELF"):
		if goos == "darwin" || goos == "windows" {
			return "Linux or another Unix"
		}
		if len(head) < 20 {
			return ""
		}
		var order binary.ByteOrder = binary.LittleEndian
		if head[5] == 2 {
			order = binary.BigEndian
		}
		if arch := elfMachine(order.Uint16(head[18:])); arch != goarch && arch != "" {
			return arch
		}
	case has("MZ") && goos != "windows":
		return "Windows"
	case goos != "darwin" && (has("\xcf\xfa\xed\xfe") || has("\xce\xfa\xed\xfe") || has("\xca\xfe\xba\xbe")):
		return "macOS"
	}
	return ""
}

// elfMachine gives Go's name of an ELF machine, "" for one that means several.
func elfMachine(m uint16) string {
	switch m {
	case 3:
		return "386"
	case 22:
		return "s390x"
	case 40:
		return "arm"
	case 62:
		return "amd64"
	case 183:
		return "arm64"
	case 243:
		return "riscv64"
	case 258:
		return "loong64"
	}
	return ""
}
