package httpapi

import (
	"context"
	"net/http"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

type roleBody struct {
	Name        string                 `json:"name"`
	Permissions []principal.Permission `json:"permissions"`
	BuiltIn     bool                   `json:"built_in"`
}

func newRole(r identity.Role) roleBody { return roleBody{r.Name, orEmpty(r.Permissions), r.BuiltIn} }

func (a *API) listRoles(ctx context.Context, caller principal.Principal, in pageQuery) (pageBody[roleBody], error) {
	after, err := a.place("roles", in.Cursor)
	if err != nil {
		return pageBody[roleBody]{}, err
	}
	page, err := a.opts.Core.ListRoles(ctx, caller, after, in.limit())
	if err != nil {
		return pageBody[roleBody]{}, err
	}
	return newPage(a, "roles", page, newRole), nil
}

type putRoleRequest struct {
	Name        string                  `path:"name"`
	Permissions *[]principal.Permission `json:"permissions"`
}

// Validate asks for the permissions: a role without any is put with an empty list.
func (in putRoleRequest) Validate() []fault.Field {
	if in.Permissions == nil {
		return []fault.Field{required("permissions")}
	}
	return nil
}

type putRoleResponse struct {
	roleBody
	created bool
}

// StatusCode is 201 for a role that was not there.
func (r putRoleResponse) StatusCode() int {
	if r.created {
		return http.StatusCreated
	}
	return http.StatusOK
}

func (a *API) putRole(ctx context.Context, caller principal.Principal, in putRoleRequest) (putRoleResponse, error) {
	r, created, err := a.opts.Core.PutRole(ctx, caller, in.Name, *in.Permissions)
	return putRoleResponse{newRole(r), created}, err
}

type deleteRoleRequest struct {
	Name string `path:"name"`
}

func (a *API) deleteRole(ctx context.Context, caller principal.Principal, in deleteRoleRequest) (web.NoContent, error) {
	return web.NoContent{}, a.opts.Core.DeleteRole(ctx, caller, in.Name)
}
