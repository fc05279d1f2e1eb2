package console

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/wire"
)

func userVerbs() []verb {
	return []verb{
		createUser(), listUsers(),
		setStatus("block", identity.Blocked, "Blocks a person: every session ends, every token is refused, everywhere."),
		setStatus("unblock", identity.Active, "Lets a blocked person come in again."),
		{
			name: "export", operands: "WHO", summary: "Writes everything held about a person to stdout, as one JSON document.",
			do: func(ctx context.Context, c *call) error {
				u, err := c.find(ctx, c.operands[0])
				if err != nil {
					return err
				}
				out := bufio.NewWriter(c.to.Stdout)
				return errors.Join(wire.WriteExport(ctx, c.core, nobody, u.ID, out, func() {}), out.Flush())
			},
		},
	}
}

func createUser() verb {
	var in identity.NewUser
	var roles []string
	fromStdin := false
	return verb{
		name:    "create",
		summary: "Makes a person. Without --password-stdin a password is made and printed, this once.",
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&in.Email, "email", "", "mail address")
			fs.StringVar(&in.Phone, "phone", "", "phone number in international form")
			fs.StringVar(&in.Username, "username", "", "username")
			fs.StringVar(&in.Name, "name", "", "name to show")
			fs.Var(texts{&roles}, "role", "a role; may be given more than once (default guest)")
			fs.BoolVar(&fromStdin, "password-stdin", false, "read the password from the first line of stdin")
		},
		do: func(ctx context.Context, c *call) (err error) {
			in.Roles = roles
			in.Password = identity.NewPassword()
			if fromStdin {
				if in.Password, err = readPassword(c.to.Stdin); err != nil {
					return err
				}
			}
			u, err := c.core.CreateUser(ctx, nobody, in)
			if err != nil {
				return err
			}
			made := struct {
				wire.User
				Password string `json:"password,omitempty"`
			}{User: wire.NewUser(u)}
			text := userLine(u)
			if !fromStdin {
				made.Password = in.Password.Reveal()
				text += "\npassword: " + made.Password + "\nIt is not shown again; it should be changed at the first login."
			}
			return c.print(made, text)
		},
	}
}

const maxPasswordLine = 4096

func readPassword(r io.Reader) (secret.String, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxPasswordLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return secret.String{}, fmt.Errorf("read the password: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return secret.String{}, errors.New("stdin holds no password; write one line to it, or leave --password-stdin out")
	}
	return secret.NewString(line), nil
}

func listUsers() verb {
	var f identity.UserFilter
	var status string
	limit := 0
	return verb{
		name: "list", summary: "Lists people, newest first.",
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&f.Text, "q", "", "part of an identifier or a name")
			fs.StringVar(&status, "status", "", "active or blocked")
			fs.StringVar(&f.Role, "role", "", "who has this role")
			fs.IntVar(&limit, "limit", 100, "stop after so many; 0 for all")
		},
		do: func(ctx context.Context, c *call) error {
			f.Status = identity.Status(status)
			list := func(after identity.Cursor, n int) (identity.Page[identity.User], error) {
				return c.core.ListUsers(ctx, nobody, f, after, n)
			}
			return pages(list, limit, func(u identity.User) error { return c.print(wire.NewUser(u), userLine(u)) })
		},
	}
}

// pages gives at most limit items of a list to each, all of them when limit is 0.
func pages[T any](list func(after identity.Cursor, n int) (identity.Page[T], error), limit int, each func(T) error) error {
	const most = 100
	for after, left := (identity.Cursor{}), limit; ; {
		n := most
		if limit > 0 {
			n = min(most, left)
		}
		page, err := list(after, n)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			if err := each(item); err != nil {
				return err
			}
		}
		after, left = page.Next, left-len(page.Items)
		if after.IsZero() || limit > 0 && left <= 0 {
			return nil
		}
	}
}

func setStatus(name string, status identity.Status, summary string) verb {
	return verb{
		name: name, operands: "WHO", summary: summary + " WHO is an id, an email, a phone number or a username.",
		do: func(ctx context.Context, c *call) error {
			u, err := c.find(ctx, c.operands[0])
			if err != nil {
				return err
			}
			if u, err = c.core.SetStatus(ctx, nobody, u.ID, status); err != nil {
				return err
			}
			return c.print(wire.NewUser(u), userLine(u))
		},
	}
}
