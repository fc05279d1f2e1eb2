package httpapi

import (
	"context"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/web"
)

type fileInput struct {
	ID string `path:"id"`
}

func (a *api) get(ctx context.Context, in fileInput) (fileBody, error) {
	f, err := a.files.Get(ctx, owner(ctx), files.FileID(in.ID))
	return bodyOf(f), err
}

type updateInput struct {
	ID        string             `path:"id"`
	Name      required[string]   `json:"name"`
	Metadata  map[string]string  `json:"metadata"`
	ExpiresAt optional[web.Time] `json:"expires_at"`
}

func (a *api) update(ctx context.Context, in updateInput) (fileBody, error) {
	change := files.FileChange{Name: in.Name.value}
	if in.Metadata != nil {
		change.Metadata = (*files.Metadata)(&in.Metadata)
	}
	if in.ExpiresAt.given {
		change.ExpiresAt = &time.Time{}
		if at := in.ExpiresAt.value; at != nil {
			change.ExpiresAt = (*time.Time)(at)
		}
	}
	var err error
	if change.IfMatch, err = ifMatch(web.Request(ctx)); err != nil {
		return fileBody{}, err
	}
	f, err := a.files.Update(ctx, owner(ctx), files.FileID(in.ID), change)
	return bodyOf(f), err
}

type deleteInput struct {
	ID        string `path:"id"`
	Permanent bool   `query:"permanent"`
}

func (a *api) delete(ctx context.Context, in deleteInput) (web.NoContent, error) {
	match, err := ifMatch(web.Request(ctx))
	if err != nil {
		return web.NoContent{}, err
	}
	return web.NoContent{}, a.files.Delete(ctx, owner(ctx), files.FileID(in.ID), in.Permanent, match...)
}

func (a *api) usage(ctx context.Context, _ struct{}) (usageBody, error) {
	u, err := a.files.Usage(ctx, owner(ctx))
	body := usageBody{Bytes: u.Bytes, Files: u.Files}
	if u.QuotaBytes > 0 {
		body.QuotaBytes = &u.QuotaBytes
	}
	return body, err
}
