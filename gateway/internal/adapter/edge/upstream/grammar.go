package upstream

import "strings"

// tokenChars are the characters of methods and header names (RFC 9110 §5.6.2).
var tokenChars = func() (set [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		set[c] = true
	}
	return set
}()

func isToken(s string) bool {
	for i := range len(s) {
		if !tokenChars[s[i]] {
			return false
		}
	}
	return s != ""
}

// isFieldValue refuses control characters (RFC 9110 §5.5), above all those that end a line.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\t') || c == 0x7f {
			return false
		}
	}
	return true
}

// isVisible refuses spaces too: it is for what stands between spaces.
func isVisible(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return s != ""
}

// isDigits reports whether s is a number without sign that surely fits into an int64.
func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) <= 18
}

// trimSpace removes optional whitespace (RFC 9110 §5.6.3).
func trimSpace(s string) string { return strings.Trim(s, " \t") }

func foldedEqual(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// lists reports whether comma-separated values name a token.
func lists(values []string, token string) bool {
	for _, value := range values {
		for value != "" {
			var item string
			item, value, _ = strings.Cut(value, ",")
			if foldedEqual(trimSpace(item), token) {
				return true
			}
		}
	}
	return false
}
