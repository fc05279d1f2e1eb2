package console

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"cloakroom.dev/libs/run"
	"cloakroom.dev/libs/secret"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/wire"
)

func userVerbs() []verb {
	return []verb{
		createUser(), listUsers(),
		setStatus("block", identity.Blocked, "Blocks a person: every session ends, every token is refused, everywhere."),
		setStatus("unblock", identity.Active, "Lets a blocked person come in again."),
		deleteUser(), exportUser(), importUsers(), resetFactors(),
	}
}

func exportUser() verb {
	return verb{
		name: "export", operands: "WHO", summary: "Writes everything the auth service holds about a person to stdout, as one JSON document.",
		details: `
The document is what the person gets from GET /v1/users/me/export, but for the files, and the same row goes into the audit trail. Hashes and
secrets are not in it. WHO is an id, an email, a phone number or a username.

  auth-svc user export --config DIR ada@example.org > ada.json`,
		do: func(ctx context.Context, c *call) error {
			u, err := c.find(ctx, c.operands[0])
			if err != nil {
				return err
			}
			told := c.progress("bytes written", 0)
			defer told.end()
			out := bufio.NewWriter(io.MultiWriter(c.to.Stdout, told))
			return errors.Join(wire.WriteExport(ctx, c.core, nobody, u.ID, out, func() {}), out.Flush())
		},
	}
}

func deleteUser() verb {
	sure := false
	return verb{
		name: "delete", operands: "WHO",
		summary: "Erases a person for good: sessions, keys, factors, and by way of the revocation log their files. WHO is an id, an email, a phone number or a username.",
		details: `
What the audit trail says of the person is forgotten, and its chain stays whole. Running services refuse their tokens within a
second. The last administrator stays. It can't be undone, so it wants --yes.

  auth-svc user delete --config DIR ada@example.org --yes`,
		flags: func(fs *flag.FlagSet) { fs.BoolVar(&sure, "yes", false, "yes, for good") },
		do: func(ctx context.Context, c *call) error {
			u, err := c.find(ctx, c.operands[0])
			if err != nil {
				return err
			}
			if !sure {
				return fmt.Errorf("%w: this erases %s for good; say --yes", run.ErrUsage, userLine(u))
			}
			if err := c.core.DeleteUser(ctx, nobody, u.ID); err != nil {
				return err
			}
			return c.print(map[string]string{"deleted": u.ID}, "deleted "+userLine(u))
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
		details: `
At least one of --email, --phone and --username is needed; they are held to the same rules as at a signup, and so is the
password.

  auth-svc user create --config DIR --username ada --role admin
  pass show ada | auth-svc user create --config DIR --email ada@example.org --password-stdin`,
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
			in.Password = c.core.NewPassword()
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
		details: `
Filters narrow the list together. With --output json each line is one person, fit for jq.

  auth-svc user list --config DIR --role admin
  auth-svc user list --config DIR --limit 0 --output json > people.ndjson`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&f.Text, "q", "", "part of an identifier or a name")
			fs.StringVar(&status, "status", "", "active or blocked")
			fs.StringVar(&f.Role, "role", "", "who has this role")
			fs.IntVar(&limit, "limit", 100, "stop after so many; 0 for all")
		},
		do: func(ctx context.Context, c *call) error {
			if limit < 0 {
				return fmt.Errorf("%w: --limit is 0 or more", run.ErrUsage)
			}
			f.Status = identity.Status(status)
			list := func(after identity.Cursor, n int) (identity.Page[identity.User], error) {
				return c.core.ListUsers(ctx, nobody, f, after, n)
			}
			told := c.progress("people", 0)
			defer told.end()
			return pages(list, limit, func(u identity.User) error {
				told.add(1)
				return c.print(wire.NewUser(u), userLine(u))
			})
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
		details: `
It takes effect in the same transaction, and a service that runs beside knows it within a second. Safe to repeat.

  auth-svc user ` + name + ` --config DIR ada@example.org`,
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

func resetFactors() verb {
	factorID := ""
	return verb{
		name: "reset-factors", operands: "WHO",
		summary: "Removes second factors that somebody has lost, ends every session of theirs and tells them by mail. Recovery codes go with the last factor.",
		details: `
For people who have lost a phone or a key, and their recovery codes with it: whoever resets should know that it is them who
ask. The row in the audit trail is factor.reset. WHO is an id, an email, a phone number or a username.

  auth-svc user reset-factors --config DIR ada@example.org`,
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&factorID, "factor", "", "the `ID` of one factor, as user export shows it (default: all of them)")
		},
		do: func(ctx context.Context, c *call) error {
			u, err := c.find(ctx, c.operands[0])
			if err != nil {
				return err
			}
			n, err := c.core.ResetFactors(ctx, nobody, identity.Client{}, u.ID, factorID)
			if err != nil {
				return err
			}
			return c.print(struct {
				UserID  string `json:"user_id"`
				Removed int    `json:"removed"`
			}{u.ID, n}, fmt.Sprintf("%s: %d removed, every session has ended", userLine(u), n))
		},
	}
}
