package httpapi

import (
	"context"

	"cloakroom.dev/libs/fault"
	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
)

type listDevicesRequest struct {
	pageQuery
	ID string `path:"id"`
}

func (a *API) listUserSessions(ctx context.Context, caller principal.Principal, in listDevicesRequest) (pageBody[device], error) {
	list := "sessions of " + in.ID
	after, err := a.place(list, in.Cursor)
	if err != nil {
		return pageBody[device]{}, err
	}
	page, err := a.opts.Core.ListSessionsOf(ctx, caller, in.ID, after, in.limit())
	if err != nil {
		return pageBody[device]{}, err
	}
	return newPage(a, list, page, func(s identity.Session) device { return newDevice(s, caller) }), nil
}

func (a *API) deleteUserSessions(ctx context.Context, caller principal.Principal, in userRequest) (logoutAllResponse, error) {
	n, err := a.opts.Core.EndSessionsOf(ctx, caller, in.ID)
	return logoutAllResponse{Revoked: n}, err
}

type deleteUserSessionRequest struct {
	ID        string `path:"id"`
	SessionID string `path:"sid"`
	Wait      bool   `query:"wait"`
}

func (a *API) deleteUserSession(ctx context.Context, caller principal.Principal, in deleteUserSessionRequest) (any, error) {
	seq, err := a.opts.Core.EndSessionOf(ctx, caller, in.ID, in.SessionID)
	if err != nil {
		return nil, err
	}
	if !in.Wait {
		return web.NoContent{}, nil
	}
	return a.spread(ctx, seq), nil
}

type putUserSessionRequest struct {
	ID         string  `path:"id"`
	SessionID  string  `path:"sid"`
	DeviceName *string `json:"device_name"`
}

// Validate asks for what is missing: the name is all there is to put.
func (in putUserSessionRequest) Validate() []fault.Field {
	if in.DeviceName == nil {
		return []fault.Field{required("device_name")}
	}
	return nil
}

func (a *API) putUserSession(ctx context.Context, caller principal.Principal, in putUserSessionRequest) (device, error) {
	s, err := a.opts.Core.NameSessionOf(ctx, caller, in.ID, in.SessionID, *in.DeviceName)
	if err != nil {
		return device{}, err
	}
	return newDevice(s, caller), nil
}
