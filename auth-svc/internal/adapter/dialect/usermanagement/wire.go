package usermanagement

import (
	"context"
	"slices"
	"strconv"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"

	"cloakroom.dev/auth-svc/internal/adapter/dialect"
	"cloakroom.dev/auth-svc/internal/identity"
)

// user is a person as this contract shows them: never a hash, a salt or a token.
type user struct {
	ID          string         `json:"_id"`
	Username    string         `json:"username"`
	Roles       []string       `json:"roles"`
	Permissions []permission   `json:"permissions"`
	Blacklisted bool           `json:"blacklisted"`
	CreatedAt   dialect.Millis `json:"created_at"`
	UpdatedAt   dialect.Millis `json:"updated_at"`
}

// newUser shows a person with what they may do to people, by their roles or by themselves.
func newUser(u identity.User, may []principal.Permission) user {
	return user{
		ID: u.ID, Username: dialect.NameOf(u.Username, u.Email, u.Phone), Roles: append([]string{}, u.Roles...),
		Permissions: permissionsOf(may), Blacklisted: u.Status == identity.Blocked,
		CreatedAt: dialect.Millis(u.CreatedAt), UpdatedAt: dialect.Millis(u.UpdatedAt),
	}
}

// withRights shows people with what each may do.
func (a api) withRights(ctx context.Context, caller principal.Principal, people ...identity.User) ([]user, error) {
	ids := make([]string, len(people))
	for i, u := range people {
		ids[i] = u.ID
	}
	rights, err := a.Core.RightsOf(ctx, caller, ids...)
	if err != nil {
		return nil, err
	}
	out := make([]user, len(people))
	for i, u := range people {
		out[i] = newUser(u, rights[i].Permissions)
	}
	return out, nil
}

// permission is one of ours about people: the action is our scope, the method our action.
type permission struct {
	Action   string `json:"action"`
	Method   string `json:"method"`
	Resource string `json:"resource"`
}

const people = "users" // the one resource of this contract

// methods are the actions, in the order in which they are shown.
var methods = []struct{ method, action string }{{"GET", "read"}, {"POST", "create"}, {"PATCH", "update"}, {"DELETE", "delete"}}

// permissionsOf shows those this contract has words for.
func permissionsOf(all []principal.Permission) []permission {
	out := []permission{}
	for _, m := range methods {
		for _, scope := range []principal.Scope{principal.Self, principal.All} {
			if slices.Contains(all, principal.Permission{Resource: people, Action: m.action, Scope: scope}) {
				out = append(out, permission{string(scope), m.method, people})
			}
		}
	}
	return out
}

// read makes ours of this contract's, whose resource may be left out.
func readPermissions(list []permission) ([]principal.Permission, error) {
	var out []principal.Permission
	for i, p := range list {
		action := ""
		for _, m := range methods {
			if m.method == p.Method {
				action = m.action
			}
		}
		scope := principal.Scope(p.Action)
		if action == "" || (scope != principal.Self && scope != principal.All) || (p.Resource != people && p.Resource != "") {
			return nil, fault.Validation(fault.Field{
				Field: "permissions[" + strconv.Itoa(i) + "]", Code: "INVALID",
				Detail: "has an action (self or all), a method (GET, POST, PATCH or DELETE) and the resource users",
			})
		}
		out = append(out, principal.Permission{Resource: people, Action: action, Scope: scope})
	}
	return out, nil
}

// speakable reports whether this contract has words for a permission.
func speakable(p principal.Permission) bool {
	return p.Resource == people && len(permissionsOf([]principal.Permission{p})) > 0
}
