package httpapi

import (
	"context"
	"net/http"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

type listUsersRequest struct {
	pageQuery
	Text   string `query:"q"`
	Status string `query:"status"`
	Role   string `query:"role"`
}

func (a *API) listUsers(ctx context.Context, caller principal.Principal, in listUsersRequest) (pageBody[userBody], error) {
	after, err := a.place("users", in.Cursor)
	if err != nil {
		return pageBody[userBody]{}, err
	}
	f := identity.UserFilter{Text: in.Text, Status: identity.Status(in.Status), Role: in.Role}
	page, err := a.opts.Core.ListUsers(ctx, caller, f, after, in.limit())
	if err != nil {
		return pageBody[userBody]{}, err
	}
	return newPage(a, "users", page, newUser), nil
}

type createUserRequest struct {
	Email       string                 `json:"email"`
	Phone       string                 `json:"phone"`
	Username    string                 `json:"username"`
	Name        string                 `json:"name"`
	Password    hidden                 `json:"password"`
	Roles       *[]string              `json:"roles"`
	Permissions []principal.Permission `json:"permissions"`
}

// Validate refuses an empty password: none is told by leaving it out.
func (in createUserRequest) Validate() []fault.Field {
	if in.Password.given && in.Password.IsZero() {
		return []fault.Field{required("password")}
	}
	return nil
}

type createUserResponse struct{ userBody }

// StatusCode is 201: there is somebody new.
func (createUserResponse) StatusCode() int { return http.StatusCreated }

// Headers say where.
func (r createUserResponse) Headers(h http.Header) { h.Set("Location", "/v1/users/"+r.ID) }

func (a *API) createUser(ctx context.Context, caller principal.Principal, in createUserRequest) (createUserResponse, error) {
	want := identity.NewUser{
		Email: in.Email, Phone: in.Phone, Username: in.Username, Name: in.Name, Password: in.Password.String,
		Permissions: in.Permissions, Client: client(ctx, ""),
	}
	if in.Roles != nil {
		want.Roles = append([]string{}, *in.Roles...) // not nil: no roles is a wish too
	}
	u, err := a.opts.Core.CreateUser(ctx, caller, want)
	return createUserResponse{newUser(u)}, err
}

type userRequest struct {
	ID string `path:"id"`
}

func (a *API) getUser(ctx context.Context, caller principal.Principal, in userRequest) (userBody, error) {
	u, err := a.opts.Core.GetUser(ctx, caller, in.ID)
	return newUser(u), err
}

type updateUserRequest struct {
	ID          string                  `path:"id"`
	Name        *string                 `json:"name"`
	Email       removable               `json:"email"`
	Phone       removable               `json:"phone"`
	Username    removable               `json:"username"`
	Status      *identity.Status        `json:"status"`
	Roles       *[]string               `json:"roles"`
	Permissions *[]principal.Permission `json:"permissions"`
}

// Validate refuses a change of nothing.
func (in updateUserRequest) Validate() []fault.Field {
	if in.Name == nil && in.Email.value == nil && in.Phone.value == nil && in.Username.value == nil &&
		in.Status == nil && in.Roles == nil && in.Permissions == nil {
		return []fault.Field{required("status")}
	}
	return nil
}

func (a *API) updateUser(ctx context.Context, caller principal.Principal, in updateUserRequest) (userBody, error) {
	u, err := a.opts.Core.EditUser(ctx, caller, in.ID, identity.UserEdit{
		Name: in.Name, Email: in.Email.value, Phone: in.Phone.value, Username: in.Username.value,
		Status: in.Status, Roles: in.Roles, Permissions: in.Permissions, Client: client(ctx, ""),
	})
	return newUser(u), err
}

func (a *API) deleteUser(ctx context.Context, caller principal.Principal, in userRequest) (web.NoContent, error) {
	return web.NoContent{}, a.opts.Core.DeleteUser(ctx, caller, in.ID)
}
