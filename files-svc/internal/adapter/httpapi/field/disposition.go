package field

import (
	"errors"
	"mime"
	"strings"
	"unicode/utf8"
)

// Disposition is what a Content-Disposition field says.
type Disposition struct {
	Kind     string // attachment, inline, form-data; lower case
	Field    string // the name parameter of a form part
	Filename string // filename* when given and readable, else filename; empty when neither is there
}

var errDisposition = errors.New("the field is not a valid Content-Disposition")

// ParseDisposition reads a Content-Disposition. A filename comes back byte for byte: a path in it is kept, so that
// whoever judges names sees what was sent. It fails on broken syntax and on names that are not UTF-8.
func ParseDisposition(value string) (Disposition, error) {
	kind, params, err := mime.ParseMediaType(value)
	if err != nil {
		return Disposition{}, errDisposition
	}
	if _, broken := params["filename*"]; broken {
		return Disposition{}, errDisposition
	}
	d := Disposition{Kind: kind, Field: params["name"], Filename: params["filename"]}
	if !utf8.ValidString(d.Filename) || !utf8.ValidString(d.Field) {
		return Disposition{}, errDisposition
	}
	return d, nil
}

// ParseFormDisposition reads the Content-Disposition of a form part. Browsers and curl write a quote in a form's file
// name as %22 and nothing else, so that one escape is undone.
func ParseFormDisposition(value string) (Disposition, error) {
	d, err := ParseDisposition(value)
	if err != nil || d.Kind != "form-data" || d.Field == "" {
		return Disposition{}, errDisposition
	}
	d.Filename = strings.ReplaceAll(d.Filename, "%22", `"`)
	return d, nil
}

// FormatDisposition writes a Content-Disposition with the name twice: as plain ASCII that any client can save under,
// and exactly, as filename*.
func FormatDisposition(kind, name string) string {
	return kind + `; filename="` + asciiName(name) + `"; filename*=UTF-8''` + encodeExtValue(name)
}

// asciiName is the name for clients that know no filename*: what is not plain ASCII, or means something to a shell of
// headers or to a file system, becomes an underscore; and so does the start of a Windows device name.
func asciiName(name string) string {
	var b strings.Builder
	for _, r := range name {
		switch {
		case r < 0x20 || r >= 0x7f, strings.ContainsRune(`"\/%:*?<>|`, r):
			b.WriteByte('_')
		default:
			b.WriteRune(r)
		}
	}
	plain := strings.TrimRight(b.String(), ". ")
	if plain == "" {
		return "_"
	}
	if isDeviceName(plain) {
		return "_" + plain
	}
	return plain
}

// isDeviceName reports whether Windows would open a device instead of a file, whatever follows the first dot.
func isDeviceName(name string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch stem = strings.TrimRight(stem, " "); stem {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")) &&
		stem[3] >= '0' && stem[3] <= '9'
}

const upperHex = "0123456789ABCDEF"

// encodeExtValue percent-encodes all but RFC 8187's attr-char.
func encodeExtValue(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("!#$&+-.^_`|~", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(upperHex[c>>4])
			b.WriteByte(upperHex[c&15])
		}
	}
	return b.String()
}
