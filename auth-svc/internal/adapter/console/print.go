package console

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/identity"
)

// printer puts one result on stdout: value for programs, or the text for people.
type printer func(value any, text string) error

var printers = map[string]func(io.Writer) printer{
	"json": func(w io.Writer) printer {
		lines := json.NewEncoder(w)
		return func(value any, _ string) error { return lines.Encode(value) }
	},
	"text": func(w io.Writer) printer {
		return func(_ any, text string) error {
			_, err := fmt.Fprintln(w, text)
			return err
		}
	},
}

func userLine(u identity.User) string {
	var known []string
	for _, name := range []string{u.Username, u.Email, u.Phone} {
		if name != "" {
			known = append(known, name)
		}
	}
	return fmt.Sprintf("%s  %-7s  %s  [%s]", u.ID, u.Status, strings.Join(known, " "), strings.Join(u.Roles, " "))
}

func apiKeyLine(k identity.APIKey) string {
	return fmt.Sprintf("%s  %s  expires %s  used %s  [%s]", k.ID, k.Name, day(k.ExpiresAt), day(k.LastUsedAt), permissionWords(k.Permissions))
}

func signingKeyLine(k identity.SigningKey) string {
	line := fmt.Sprintf("%s  %-8s  %s", k.ID, k.State, k.Algorithm)
	if k.State == identity.KeyNext && !k.ActivateAt.IsZero() {
		line += "  signs from " + k.ActivateAt.UTC().Format(time.RFC3339)
	}
	return line
}

func permissionWords(ps []principal.Permission) string {
	words := make([]string, len(ps))
	for i, p := range ps {
		words[i] = p.String()
	}
	return strings.Join(words, " ")
}

func day(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
