package sqldump

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// scanner makes tokens of bytes and counts lines.
type scanner struct {
	in      *bufio.Reader
	dialect Dialect
	line    int64
	unread  *token
}

type kind int

const (
	end  kind = iota // of the dump
	word             // a keyword, a number, or a name without quotes
	name             // a name in quotes
	text             // a text in quotes
	sign             // any other byte
)

type token struct {
	kind kind
	text string
	bad  string // a text that can't be read, and why
}

func (t token) is(signs string) bool { return t.kind == sign && strings.Contains(signs, t.text) }

// keyword compares without case. A name in quotes is no keyword.
func (t token) keyword(words ...string) bool {
	for _, w := range words {
		if t.kind == word && strings.EqualFold(t.text, w) {
			return true
		}
	}
	return false
}

// next returns the next byte; ok is false at the end.
func (s *scanner) next() (c byte, ok bool, err error) {
	c, err = s.in.ReadByte()
	if errors.Is(err, io.EOF) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read the dump: %w", err)
	}
	if c == '\n' {
		s.line++
	}
	return c, true, nil
}

// peek returns the byte after the next n, or 0.
func (s *scanner) peek(n int) byte {
	b, _ := s.in.Peek(n + 1)
	if len(b) <= n {
		return 0
	}
	return b[n]
}

func (s *scanner) errorf(line int64, format string, args ...any) error {
	return &Error{Line: line, What: fmt.Sprintf(format, args...)}
}

func (s *scanner) push(t token) { s.unread = &t }

// token returns the next token behind blanks and comments.
func (s *scanner) token() (token, error) {
	if t := s.unread; t != nil {
		s.unread = nil
		return *t, nil
	}
	for {
		c, ok, err := s.next()
		if err != nil || !ok {
			return token{}, err
		}
		following := s.peek(0)
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
		case c == '-' && following == '-', c == '#' && s.dialect == MySQL:
			err = s.skipLine()
		case c == '/' && following == '*':
			err = s.skipComment()
		default:
			return s.tokenFrom(c)
		}
		if err != nil {
			return token{}, err
		}
	}
}

func (s *scanner) tokenFrom(c byte) (token, error) {
	switch {
	case c == '\'':
		return s.quoted(text, c, s.dialect == MySQL)
	case c == '"' && s.dialect == MySQL:
		return s.quoted(text, c, true)
	case c == '"' || c == '`':
		return s.quoted(name, c, false)
	case c == '$' && s.dialect == Standard:
		return s.dollarQuoted()
	case isWord(c):
		return s.word(c, isWord)
	case (c == '-' || c == '+' || c == '.') && isDigit(s.peek(0)):
		return s.word(c, isNumber)
	default:
		return token{kind: sign, text: string(c)}, nil
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isWord(c byte) bool {
	return isDigit(c) || c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
func isNumber(c byte) bool { return isDigit(c) || c == '.' || c == 'e' || c == 'E' }

// word reads a word or a number, or the text whose introducer the word is.
func (s *scanner) word(first byte, more func(byte) bool) (token, error) {
	if isDigit(first) {
		more = func(c byte) bool { return isWord(c) || c == '.' }
	}
	buf := []byte{first}
	for {
		c := s.peek(0)
		exponent := (c == '-' || c == '+') && isDigit(first) && (buf[len(buf)-1] == 'e' || buf[len(buf)-1] == 'E') && buf[1] != 'x'
		if c == 0 || !more(c) && !exponent {
			break
		}
		if _, _, err := s.next(); err != nil {
			return token{}, err
		}
		if buf = append(buf, c); len(buf) > MaxValueBytes {
			return token{}, s.errorf(s.line, "a word longer than %d bytes", MaxValueBytes)
		}
	}
	if s.peek(0) == '\'' {
		return s.introduced(string(buf))
	}
	return token{kind: word, text: string(buf)}, nil
}

// introduced reads a text behind its introducer, such as E'…' and X'…'.
func (s *scanner) introduced(introducer string) (token, error) {
	if _, _, err := s.next(); err != nil {
		return token{}, err
	}
	escapes := s.dialect == MySQL || strings.EqualFold(introducer, "e")
	t, err := s.quoted(text, '\'', escapes)
	switch {
	case err != nil:
	case strings.EqualFold(introducer, "x"):
		raw, err := hex.DecodeString(t.text)
		if t.text = string(raw); err != nil {
			t.bad = "is no hex"
		}
	case strings.EqualFold(introducer, "e"), strings.EqualFold(introducer, "n"), s.dialect == MySQL && introducer[0] == '_':
	default:
		t.bad = notLiteral
	}
	return t, err
}

const (
	notLiteral = "is not written as a plain value"
	tooLong    = "is too long"
)

// quoted reads up to the closing quote. Of what is too long nothing is kept.
func (s *scanner) quoted(k kind, quote byte, escapes bool) (token, error) {
	t, began := token{kind: k}, s.line
	var buf []byte
	for {
		c, ok, err := s.next()
		switch {
		case err != nil:
			return t, err
		case !ok:
			return t, s.errorf(began, "the dump ends inside the quotes that begin here")
		case c == quote && s.peek(0) != quote:
			if k == name && (len(buf) > maxNameBytes || t.bad != "") {
				return t, s.errorf(began, "a name longer than %d bytes", maxNameBytes)
			}
			t.text = string(buf)
			return t, nil
		case c == quote:
			_, _, err = s.next()
		case c == '\\' && escapes:
			c, ok, err = s.next()
			if !ok && err == nil {
				return t, s.errorf(began, "the dump ends inside the quotes that begin here")
			}
			if s.dialect != MySQL && (isDigit(c) || c == 'x' || c == 'u' || c == 'U') {
				t.bad = notLiteral
			}
			c = unescape(c)
		}
		if err != nil {
			return t, err
		}
		if t.bad == "" {
			buf = append(buf, c)
		}
		if len(buf) > MaxValueBytes {
			buf, t.bad = nil, tooLong
		}
	}
}

// unescape is the byte that a backslash and this one stand for.
func unescape(c byte) byte {
	if i := strings.IndexByte("0bfnrtvZ", c); i >= 0 {
		return "\x00\b\f\n\r\t\v\x1a"[i]
	}
	return c
}

// dollarQuoted reads the body of a function, which is nothing here.
func (s *scanner) dollarQuoted() (token, error) {
	began, tag := s.line, []byte{'$'}
	for n := 0; isWord(s.peek(n)) && n < 64; n++ {
		tag = append(tag, s.peek(n))
	}
	if s.peek(len(tag)-1) != '$' {
		return token{kind: sign, text: "$"}, nil
	}
	tag = append(tag, '$')
	if _, err := s.in.Discard(len(tag) - 1); err != nil {
		return token{}, fmt.Errorf("read the dump: %w", err)
	}
	for {
		c, ok, err := s.next()
		switch {
		case err != nil:
			return token{}, err
		case !ok:
			return token{}, s.errorf(began, "the dump ends inside the quotes that begin here")
		}
		if c != '$' {
			continue
		}
		if b, _ := s.in.Peek(len(tag) - 1); string(b) == string(tag[1:]) {
			_, err := s.in.Discard(len(b))
			return token{kind: text, bad: notLiteral}, err
		}
	}
}

func (s *scanner) skipLine() error {
	for {
		if c, ok, err := s.next(); err != nil || !ok || c == '\n' {
			return err
		}
	}
}

// skipComment skips from the star on.
func (s *scanner) skipComment() error {
	began, last := s.line, byte(0)
	for {
		c, ok, err := s.next()
		switch {
		case err != nil:
			return err
		case !ok:
			return s.errorf(began, "the dump ends inside the comment that begins here")
		case c == '/' && last == '*':
			return nil
		}
		last = c
	}
}
