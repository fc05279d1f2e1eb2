package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const ( // in characters
	maxUserAgent  = 256
	maxDeviceName = 100
)

// cleaned cuts what a client says of itself to what is worth keeping: it is shown to people later, in a list of
// devices.
func (c Client) cleaned() Client {
	c.Address = c.Address.Unmap()
	c.UserAgent = showable(c.UserAgent, maxUserAgent)
	c.DeviceName = showable(c.DeviceName, maxDeviceName)
	return c
}

// claims are what this client wants the access token to say besides.
func (c Client) claims(u User, s Session) map[string]string {
	if c.Claims == nil {
		return nil
	}
	return c.Claims(u, s)
}

// showable is at most n characters of s, without those that could mislead whoever reads them.
func showable(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || !isShowable(string(r)) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(clip(s, n*utf8.UTFMax), ""))
	if characters := []rune(s); len(characters) > n {
		s = string(characters[:n])
	}
	return strings.TrimSpace(s)
}
