package console

import (
	"context"
	"flag"
	"fmt"
	"time"

	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/run"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/wire"
)

func keyVerbs() []verb {
	printKeys := func(c *call, keys []identity.SigningKey) error {
		for _, k := range keys {
			if err := c.print(wire.NewSigningKey(k), signingKeyLine(k)); err != nil {
				return err
			}
		}
		return nil
	}
	return []verb{
		{
			name: "list", summary: "Lists the signing keys and their states.",
			do: func(ctx context.Context, c *call) error {
				keys, err := c.core.ListSigningKeys(ctx, nobody)
				if err != nil {
					return err
				}
				return printKeys(c, keys)
			},
		},
		{
			name: "rotate", summary: "Lets the next key take over as soon as every verifier can know it. No token is lost.",
			do: func(ctx context.Context, c *call) error {
				keys, err := c.core.RotateSigningKeys(ctx, nobody)
				if err != nil {
					return err
				}
				return printKeys(c, keys)
			},
		},
		{
			name: "kill", operands: "KID",
			summary: "Ends a key and every access token it has signed, at once and everywhere. Sessions live on by refreshing.",
			do: func(ctx context.Context, c *call) error {
				if _, err := c.core.KillSigningKey(ctx, nobody, c.operands[0]); err != nil {
					return fmt.Errorf("%w; `%s` shows the keys there are", err, c.hint("keys list"))
				}
				return c.print(map[string]string{"killed": c.operands[0]}, "killed "+c.operands[0])
			},
		},
	}
}

func apiKeyVerbs() []verb {
	return []verb{
		createAPIKey(), listAPIKeys(),
		{
			name: "revoke", operands: "ID", summary: "Ends an API key, everywhere.",
			do: func(ctx context.Context, c *call) error {
				if _, err := c.core.RevokeAPIKey(ctx, nobody, c.operands[0]); err != nil {
					return fmt.Errorf("%w; `%s --user WHO` shows the keys of a person", err, c.hint("api-key list"))
				}
				return c.print(map[string]string{"revoked": c.operands[0]}, "revoked "+c.operands[0])
			},
		},
	}
}

func createAPIKey() verb {
	var who, name string
	var permissions []string
	var life time.Duration
	return verb{
		name: "create", summary: "Makes an API key for a person and prints it, this once.",
		flags: func(fs *flag.FlagSet) {
			fs.StringVar(&who, "user", "", "whose: an id, an email, a phone number or a username")
			fs.StringVar(&name, "name", "", "what the key is for")
			fs.Var(texts{&permissions}, "permission", "such as files:read:self; may be given more than once")
			fs.DurationVar(&life, "expires-in", 0, "how long it lives, such as 720h; 0 for ever")
		},
		do: func(ctx context.Context, c *call) error {
			want := identity.NewAPIKey{Name: name}
			for _, text := range permissions {
				p, ok := principal.ParsePermission(text)
				if !ok {
					return fmt.Errorf("%w: --permission %q is not of the form resource:action:scope, such as files:read:self", run.ErrUsage, text)
				}
				want.Permissions = append(want.Permissions, p)
			}
			if who == "" || life < 0 {
				return fmt.Errorf("%w: --user WHO is needed, and --expires-in is not negative", run.ErrUsage)
			}
			if life > 0 {
				want.ExpiresAt = time.Now().Add(life)
			}
			u, err := c.find(ctx, who)
			if err != nil {
				return err
			}
			made, err := c.core.CreateAPIKeyFor(ctx, nobody, u.ID, want)
			if err != nil {
				return err
			}
			return c.print(struct {
				wire.APIKey
				Key string `json:"key"`
			}{wire.NewAPIKey(made.APIKey), made.Secret.Reveal()},
				apiKeyLine(made.APIKey)+"\nkey: "+made.Secret.Reveal()+"\nIt is not shown again.")
		},
	}
}

func listAPIKeys() verb {
	var who string
	return verb{
		name: "list", summary: "Lists a person's API keys, newest first, without their secrets.",
		flags: func(fs *flag.FlagSet) { fs.StringVar(&who, "user", "", "whose") },
		do: func(ctx context.Context, c *call) error {
			if who == "" {
				return fmt.Errorf("%w: --user WHO is needed", run.ErrUsage)
			}
			u, err := c.find(ctx, who)
			if err != nil {
				return err
			}
			list := func(after identity.Cursor, n int) (identity.Page[identity.APIKey], error) {
				return c.core.ListAPIKeysOf(ctx, nobody, u.ID, after, n)
			}
			return pages(list, 0, func(k identity.APIKey) error { return c.print(wire.NewAPIKey(k), apiKeyLine(k)) })
		},
	}
}
