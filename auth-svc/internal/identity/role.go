package identity

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
)

// The built-in roles. Everybody who signs up is a guest.
const (
	RoleGuest = "guest"
	RoleAdmin = "admin"
)

// What permissions can be about here. Other services have resources of their own; the core takes any word.
const (
	resUsers       = "users"
	resSessions    = "sessions"
	resAPIKeys     = "api_keys"
	resSigningKeys = "signing_keys"
	resAudit       = "audit"
	resRoles       = "roles"
	resFiles       = "files"
)

// The actions.
const (
	actRead   = "read"
	actCreate = "create"
	actUpdate = "update"
	actDelete = "delete"
)

func builtInRoles() []Role {
	guest := Role{Name: RoleGuest, BuiltIn: true, Permissions: slices.Concat(
		grant(principal.Self, resUsers, actRead, actUpdate, actDelete),
		grant(principal.Self, resSessions, actRead, actUpdate, actDelete),
		grant(principal.Self, resAPIKeys, actRead, actCreate, actDelete),
		grant(principal.Self, resFiles, actRead, actCreate, actUpdate, actDelete),
	)}
	admin := Role{Name: RoleAdmin, BuiltIn: true}
	for _, resource := range []string{resUsers, resSessions, resAPIKeys, resSigningKeys, resRoles, resFiles} {
		admin.Permissions = append(admin.Permissions, grant(principal.All, resource, actRead, actCreate, actUpdate, actDelete)...)
	}
	admin.Permissions = append(admin.Permissions, grant(principal.All, resAudit, actRead)...)
	return []Role{guest, admin}
}

func grant(scope principal.Scope, resource string, actions ...string) (out []principal.Permission) {
	for _, a := range actions {
		out = append(out, principal.Permission{Resource: resource, Action: a, Scope: scope})
	}
	return out
}

// putBuiltInRoles writes them at every start, so that a new release can bring new permissions.
func putBuiltInRoles(ctx context.Context, tx Tx) error {
	for _, r := range builtInRoles() {
		now, err := tx.Role(ctx, r.Name)
		if err != nil && !errors.Is(err, fault.Of(fault.NotFound)) {
			return err
		}
		if now.Epoch > 0 {
			continue // somebody has made it their own
		}
		r.Permissions = SortPermissions(r.Permissions)
		if err := tx.PutRole(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// SortPermissions orders permissions by their text and drops repetitions, in a new slice. Stores use it to join the
// permissions of roles and person.
func SortPermissions(ps []principal.Permission) []principal.Permission {
	out := slices.Clone(ps)
	slices.SortFunc(out, func(a, b principal.Permission) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(out)
}

// covers reports whether every use of want is also allowed by one of has.
func covers(has []principal.Permission, want principal.Permission) bool {
	return principal.Principal{Permissions: has}.May(want.Resource, want.Action, want.Scope == principal.Self)
}

// both returns the permissions that each side covers.
func both(a, b []principal.Permission) []principal.Permission {
	var out []principal.Permission
	for _, p := range a {
		if covers(b, p) {
			out = append(out, p)
		}
	}
	for _, p := range b {
		if covers(a, p) {
			out = append(out, p)
		}
	}
	return SortPermissions(out)
}

const (
	maxPermissions    = 64
	maxPermissionWord = 32
)

// checkPermissions finds what is wrong with permissions a client has sent.
func checkPermissions(ps []principal.Permission) (bad []fault.Field) {
	if len(ps) > maxPermissions {
		return []fault.Field{{Field: "permissions", Code: "TOO_MANY", Detail: "at most 64 permissions"}}
	}
	for i, p := range ps {
		if !isPermissionWord(p.Resource) || !isPermissionWord(p.Action) || (p.Scope != principal.Self && p.Scope != principal.All) {
			bad = append(bad, fault.Field{
				Field: "permissions[" + strconv.Itoa(i) + "]", Code: "INVALID",
				Detail: "resource and action are lower-case words of at most 32 letters, scope is self or all",
			})
		}
	}
	return bad
}

const maxRoleNameBytes = 64

// isRoleName keeps out what can't stand in a list of words or in a path.
func isRoleName(s string) bool {
	if s == "" || len(s) > maxRoleNameBytes || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// isPermissionWord keeps colons and blanks out: permissions are joined by them.
func isPermissionWord(s string) bool {
	if s == "" || len(s) > maxPermissionWord || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
