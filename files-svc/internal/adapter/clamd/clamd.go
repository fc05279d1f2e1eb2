// Package clamd asks a ClamAV daemon about contents, over its INSTREAM command.
//
// One connection is one question: "zINSTREAM\0", then chunks, each behind its length in four bytes, then a length of zero; the
// answer is one line that ends with a zero byte. The daemon closes the connection as soon as it has had enough, so a failed
// write may still have an answer waiting. Every wait has a deadline, and no more than a set number of questions are asked
// at once. What the daemon answers is untrusted: it is bounded and cleaned before anybody sees it.
package clamd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
)

const (
	chunkBytes  = 64 << 10
	maxAnswer   = 4 << 10
	dialTimeout = 5 * time.Second
	maxName     = 128
)

// Options is what New can be told; the zero value works.
type Options struct {
	MaxBytes    int64         // the largest content that is sent; default 25 MiB, as clamd's own
	Timeout     time.Duration // of one question, its wait for a turn included; default 1 min
	Connections int           // questions at once; default 4
}

// Scanner is a files.Scanner that asks clamd.
type Scanner struct {
	network, address string
	opts             Options
	turns            chan struct{}
	waiting          atomic.Int64 // questions without a turn
}

var _ files.Scanner = (*Scanner)(nil)

// New makes a scanner. address is host:port, or "unix:" and a path. Nothing is dialled before the first question.
func New(address string, opts Options) *Scanner {
	s := &Scanner{network: "tcp", address: address, opts: opts}
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		s.network, s.address = "unix", path
	}
	if s.opts.MaxBytes <= 0 {
		s.opts.MaxBytes = 25 << 20
	}
	if s.opts.Timeout <= 0 {
		s.opts.Timeout = time.Minute
	}
	s.turns = make(chan struct{}, max(1, opts.Connections))
	if opts.Connections <= 0 {
		s.turns = make(chan struct{}, 4)
	}
	return s
}

// Scan implements files.Scanner.
func (s *Scanner) Scan(ctx context.Context, content io.Reader, size int64) (files.Verdict, error) {
	if size > s.opts.MaxBytes {
		return files.Verdict{}, tooLarge()
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	s.waiting.Add(1)
	select {
	case s.turns <- struct{}{}:
		s.waiting.Add(-1)
		defer func() { <-s.turns }()
	case <-ctx.Done():
		s.waiting.Add(-1)
		return files.Verdict{}, fault.Wrap(fault.Unavailable, "the scanner is busy", ctx.Err())
	}
	answer, err := s.ask(ctx, content)
	if err != nil {
		return files.Verdict{}, fault.Wrap(fault.Unavailable, "the scanner is not available", err)
	}
	return read(answer)
}

// Waiting is how many questions wait until one of those under way has ended.
func (s *Scanner) Waiting() int { return int(s.waiting.Load()) }

func tooLarge() error {
	return fault.New(fault.TooLarge, "the content is larger than the scanner takes")
}

// ask sends a content and returns the daemon's line.
func (s *Scanner) ask(ctx context.Context, content io.Reader) (string, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, s.network, s.address)
	if err != nil {
		return "", fmt.Errorf("dial clamd: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })() // also when ctx ends without a deadline
	sent := send(conn, content)
	if errors.As(sent, new(sourceError)) {
		return "", sent // its answer would be about half a content
	}
	answer, err := io.ReadAll(io.LimitReader(conn, maxAnswer))
	line, _, whole := strings.Cut(string(answer), "\x00")
	switch {
	case whole && (sent == nil || !strings.HasSuffix(line, ": OK")): // half a content is never clean
		return line, nil
	case sent != nil:
		return "", sent
	case err != nil:
		return "", fmt.Errorf("hear clamd: %w", err)
	default:
		return "", errors.New("clamd ended without an answer")
	}
}

// sourceError is a failure of the content, not of the daemon.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

func send(conn io.Writer, content io.Reader) error {
	if _, err := io.WriteString(conn, "zINSTREAM\x00"); err != nil {
		return fmt.Errorf("ask clamd: %w", err)
	}
	frame := make([]byte, 4+chunkBytes)
	for {
		n, err := io.ReadFull(content, frame[4:])
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !ended {
			return sourceError{fmt.Errorf("read the content to scan: %w", err)}
		}
		binary.BigEndian.PutUint32(frame, uint32(n))
		if n > 0 {
			if _, err := conn.Write(frame[:4+n]); err != nil {
				return fmt.Errorf("send to clamd: %w", err)
			}
		}
		if ended {
			if _, err := conn.Write(make([]byte, 4)); err != nil {
				return fmt.Errorf("send to clamd: %w", err)
			}
			return nil
		}
	}
}

// read understands the daemon's line. What it does not know is never taken for clean.
func read(line string) (files.Verdict, error) {
	rest, ok := strings.CutPrefix(line, "stream: ")
	name, found := strings.CutSuffix(rest, " FOUND")
	switch {
	case ok && rest == "OK":
		return files.Verdict{}, nil
	case ok && found:
		return files.Verdict{Name: clean(name)}, nil
	case strings.Contains(line, "size limit exceeded"):
		return files.Verdict{}, tooLarge()
	default:
		return files.Verdict{}, fault.Wrap(fault.Unavailable, "the scanner is not available", fmt.Errorf("clamd answered %.100q", line))
	}
}

// clean makes what the daemon calls its finding fit for a log. It is never empty.
func clean(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
	if name == "" {
		return "unnamed"
	}
	return name[:min(len(name), maxName)]
}
