package httpapi

import (
	"context"
	"time"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/libs/fault"
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
	change, err := in.change(ctx)
	if err != nil {
		return fileBody{}, fault.Also(err, a.files.CheckChange(change))
	}
	f, err := a.files.Update(ctx, owner(ctx), files.FileID(in.ID), change)
	return bodyOf(f), err
}

// badUpdate names all the fields of a change that is refused already.
func (a *api) badUpdate(ctx context.Context, in updateInput) error {
	change, err := in.change(ctx)
	return fault.Also(a.files.CheckChange(change), err)
}

// change is what the core is told.
func (in updateInput) change(ctx context.Context) (change files.FileChange, err error) {
	change = files.FileChange{Name: in.Name.value}
	if in.Metadata != nil {
		change.Metadata = (*files.Metadata)(&in.Metadata)
	}
	if in.ExpiresAt.given {
		change.ExpiresAt = &time.Time{}
		if at := in.ExpiresAt.value; at != nil {
			change.ExpiresAt = (*time.Time)(at)
		}
	}
	change.IfMatch, err = ifMatch(web.Request(ctx))
	return change, err
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

func badDelete(ctx context.Context, _ deleteInput) error {
	_, err := ifMatch(web.Request(ctx))
	return err
}

func (a *api) usage(ctx context.Context, _ struct{}) (usageBody, error) {
	u, err := a.files.Usage(ctx, owner(ctx))
	body := usageBody{Bytes: u.Bytes, Files: u.Files}
	if u.QuotaBytes > 0 {
		body.QuotaBytes = &u.QuotaBytes
	}
	return body, err
}
