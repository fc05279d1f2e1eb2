package identity

import (
	"strings"
	"unicode"
)

const (
	maxUserAgentBytes  = 256
	maxDeviceNameBytes = 100
)

// cleaned cuts what a client says of itself to what is worth keeping: it is shown to people later, in a list of
// devices.
func (c Client) cleaned() Client {
	c.Address = c.Address.Unmap()
	c.UserAgent = showable(c.UserAgent, maxUserAgentBytes)
	c.DeviceName = showable(c.DeviceName, maxDeviceNameBytes)
	return c
}

// claims are what this client wants the access token to say besides.
func (c Client) claims(u User, s Session) map[string]string {
	if c.Claims == nil {
		return nil
	}
	return c.Claims(u, s)
}

func showable(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || !isShowable(string(r)) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(clip(s, n), ""))
	return strings.TrimSpace(s)
}
