// Command generate makes filter.bin from lists of words, one a line; see the README beside it.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"cloakroom.dev/auth-svc/internal/adapter/breach"
)

func main() {
	out := flag.String("out", "filter.bin", "file to write")
	flag.Parse()
	if err := run(*out, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// sources are where the Debian packages put their lists.
var sources = []string{"/usr/share/john/password.lst", "/usr/share/dict/cracklib-small"}

func run(out string, lists []string) error {
	if len(lists) == 0 {
		lists = sources
	}
	var words []string
	for _, name := range lists {
		more, err := read(name)
		if err != nil {
			return err
		}
		words = append(words, more...)
	}
	slices.Sort(words)
	words = slices.Compact(words)
	if err := os.WriteFile(out, breach.Make(words), 0o644); err != nil { //nolint:gosec // it is part of the source
		return fmt.Errorf("write the filter: %w", err)
	}
	return nil
}

// minWord is the shortest word worth knowing: shorter ones are no password, and too common inside good ones.
const minWord = 4

func read(name string) (words []string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open a list of words: %w", err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "#!comment:") {
			continue
		}
		if word := strings.ToLower(norm.NFKC.String(line)); len(word) >= minWord {
			words = append(words, word)
		}
	}
	return words, lines.Err()
}
