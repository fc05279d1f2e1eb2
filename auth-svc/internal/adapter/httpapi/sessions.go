package httpapi

import (
	"context"

	"cloakroom.dev/libs/principal"
	"cloakroom.dev/libs/web"

	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/auth-svc/internal/wire"
)

type sessionCheckResponse struct {
	User      userBody `json:"user"`
	SessionID *string  `json:"session_id"`
	ExpiresAt web.Time `json:"expires_at"`

	Factors  []identity.FactorKind `json:"factors"`
	ProvedBy *string               `json:"proved_by"`
	ProvedAt *web.Time             `json:"proved_at"`
}

func (a *API) checkSession(ctx context.Context, caller principal.Principal, _ empty) (sessionCheckResponse, error) {
	check, err := a.opts.Core.CheckSession(ctx, caller)
	if err != nil {
		return sessionCheckResponse{}, err
	}
	return sessionCheckResponse{
		User: newUser(check.User), SessionID: orNull(check.SessionID), ExpiresAt: web.Time(check.ExpiresAt),
		Factors: orEmpty(check.Factors), ProvedBy: orNull(string(check.Proof)), ProvedAt: wire.TimeOrNull(check.ProvedAt),
	}, nil
}

type device = wire.Device

func (a *API) listSessions(ctx context.Context, caller principal.Principal, in pageQuery) (pageBody[device], error) {
	after, err := a.place("sessions", in.Cursor)
	if err != nil {
		return pageBody[device]{}, err
	}
	page, err := a.opts.Core.ListSessions(ctx, caller, after, in.limit())
	if err != nil {
		return pageBody[device]{}, err
	}
	return newPage(a, "sessions", page, func(s identity.Session) device { return newDevice(s, caller) }), nil
}

func newDevice(s identity.Session, caller principal.Principal) device {
	return wire.NewDevice(s, caller.SessionID)
}

type deleteSessionRequest struct {
	ID   string `path:"id"`
	Wait bool   `query:"wait"`
}

type acksResponse struct {
	Acked int   `json:"acked"`
	Of    int   `json:"of"`
	LagMS int64 `json:"lag_ms"`
}

// deleteSession answers 204, or how far the word has spread when the caller waits for it.
func (a *API) deleteSession(ctx context.Context, caller principal.Principal, in deleteSessionRequest) (any, error) {
	seq, err := a.opts.Core.RevokeSession(ctx, caller, in.ID)
	if err != nil {
		return nil, err
	}
	if in.ID == caller.SessionID {
		forget(ctx)
	}
	if !in.Wait {
		return web.NoContent{}, nil
	}
	return a.spread(ctx, seq), nil
}

// spread waits for the followers and says how many refuse what the entry of the log has ended.
func (a *API) spread(ctx context.Context, seq int64) acksResponse {
	acks := a.opts.Core.WaitAcked(ctx, seq)
	return acksResponse{acks.Acked, acks.Of, acks.Lag.Milliseconds()}
}
