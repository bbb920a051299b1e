// Command write writes the hostile corpus into a folder: 0.wasm and so on, the
// same as plugins in 0.plugin.wasm, and what they are in corpus.json.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/tappet-dev/tappet/plugins/internal/guest/hostile"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: write FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(dir string) error {
	all := hostile.Corpus()
	index, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "corpus.json"), index, 0o600); err != nil {
		return err
	}
	for i, m := range all {
		for ending, b := range map[string][]byte{".wasm": m.Bytes, ".plugin.wasm": m.Plugin} {
			if b == nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)+ending), b, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
