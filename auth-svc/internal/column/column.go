// Package column says how values of the core stand in columns, where that is the same in every database: each type reads itself
// into what it points at. What differs, such as times and lists, is each store's own.
package column

import (
	"fmt"
	"net/netip"
	"slices"

	"cloakroom.dev/libs/principal"
)

// Digest reads a hash.
type Digest [32]byte

// Scan takes exactly as many bytes as a hash has.
func (d *Digest) Scan(v any) error {
	b, ok := v.([]byte)
	if !ok || len(b) != len(d) {
		return fmt.Errorf("a hash column does not hold %d bytes", len(d))
	}
	*d = Digest(b)
	return nil
}

// Address reads a network address; an empty text is none.
type Address netip.Addr

// Scan takes a text.
func (a *Address) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("an address column holds a %T", v)
	}
	if s == "" {
		*a = Address{}
		return nil
	}
	parsed, err := netip.ParseAddr(s)
	*a = Address(parsed)
	return err
}

// AddressText writes one.
func AddressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Name reads an identifier, which is unique where it is there; NULL is none.
type Name string

// Scan takes a text or NULL.
func (n *Name) Scan(v any) error {
	s, _ := v.(string)
	*n = Name(s)
	return nil
}

// NameOf writes one.
func NameOf(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// Permissions reads the texts of permissions, in order, each once. It sorts texts.
func Permissions(texts []string) ([]principal.Permission, error) {
	slices.Sort(texts)
	texts = slices.Compact(texts)
	out := make([]principal.Permission, len(texts))
	for i, s := range texts {
		p, ok := principal.ParsePermission(s)
		if !ok {
			return nil, fmt.Errorf("a permission column holds %q", s)
		}
		out[i] = p
	}
	return out, nil
}

// PermissionTexts writes them.
func PermissionTexts(ps []principal.Permission) []string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.String()
	}
	return texts
}
