package files

import (
	"context"
	"time"

	"cloakroom.dev/libs/principal"
)

// DirectPolicy says which contents clients fetch from the store of bytes themselves. The zero value is none.
type DirectPolicy struct {
	Lifetime time.Duration // of an address; 0: none is given
	MinBytes int64         // of a content
}

// MayDirect reports whether Direct has an address for the content: policy allows it and the store can. It asks nobody.
func (c *Content) MayDirect() bool {
	_, remote := c.service.blobs.(RemoteBlobs)
	p := c.service.opts.Policy().Direct
	return remote && p.Lifetime > 0 && c.File.Size >= max(p.MinBytes, 1)
}

// Direct returns where the bytes can be read as they are, by anybody, until a time of the policy's from now: what ends the right
// to read ends no address that was given. Contents in quarantine are never opened, so none is given for them; and the
// store is asked whether the bytes are there. It fails as Reach does.
func (c *Content) Direct(ctx context.Context, contentType, disposition string) (url string, err error) {
	lifetime := c.service.opts.Policy().Direct.Lifetime
	remote, ok := c.service.blobs.(RemoteBlobs)
	if !ok || lifetime <= 0 { // the policy has changed since it was asked
		return "", ErrMoved
	}
	f := c.File
	url, err = remote.Address(ctx, f.Blob, f.Size, Address{Lifetime: lifetime, ContentType: contentType, Disposition: disposition})
	if err != nil {
		return "", c.reached(ctx, err)
	}
	caller, _ := principal.From(ctx) // none: by a link
	c.service.log.InfoContext(ctx, "a client was given the address of a content", "user_id", caller.UserID, "owner_id", string(f.Owner),
		"file_id", string(f.ID), "version", f.Version, "lifetime_s", int64(lifetime/time.Second))
	return url, nil
}
