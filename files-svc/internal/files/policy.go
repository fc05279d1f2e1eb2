package files

import (
	"mime"
	"strings"
	"time"

	"cloakroom.dev/libs/fault"
)

// Policy is what the operator allows. It may change while uploads run: the commit of an upload asks again. The zero
// value sets no limit and keeps nothing.
type Policy struct {
	QuotaBytes     int64         // per owner; 0: no limit
	MaxVersions    int64         // per owner, of all files together; 0: no limit
	MaxObjectBytes int64         // per version; 0: no limit
	ContentTypes   []string      // allowed: "image/png", "image/*"; empty: all
	KeepVersions   int           // older versions kept beside the newest
	TrashRetention time.Duration // how long a trashed file can be restored; 0: until its owner deletes it
	MaxLinkTTL     time.Duration // how long a link may work at most; 0: no links are made
	UploadExpiry   time.Duration // how long a resumable upload waits for its next chunk; 0: a day
	Direct         DirectPolicy  // which contents clients fetch from the store themselves
}

// checkSize refuses a content that is too large for one object.
func (p Policy) checkSize(size int64) error {
	if p.MaxObjectBytes > 0 && size > p.MaxObjectBytes {
		return fault.New(fault.TooLarge, "the file is larger than one file may be")
	}
	return nil
}

// checkType refuses a content type that is not on the list.
func (p Policy) checkType(contentType string) error {
	if len(p.ContentTypes) == 0 {
		return nil
	}
	kind := mediaType(contentType)
	for _, allowed := range p.ContentTypes {
		prefix, all := strings.CutSuffix(strings.ToLower(allowed), "*")
		if prefix == kind || (all && strings.HasPrefix(kind, prefix)) {
			return nil
		}
	}
	return fault.New(fault.UnsupportedMediaType, "files of this content type are not taken here")
}

// mediaType is a content type without its parameters, in lower case.
func mediaType(contentType string) string {
	kind, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

const maxContentTypeBytes = 255

// normalContentType brings a content type into one form; none is application/octet-stream.
func normalContentType(raw string) (string, []fault.Field) {
	if strings.TrimSpace(raw) == "" {
		return "application/octet-stream", nil
	}
	kind, params, err := mime.ParseMediaType(raw)
	if err != nil || !strings.Contains(kind, "/") || len(raw) > maxContentTypeBytes {
		return "", []fault.Field{{Field: "content_type", Code: "INVALID", Detail: "must be a media type of at most 255 bytes"}}
	}
	out := mime.FormatMediaType(kind, params)
	if out == "" || len(out) > maxContentTypeBytes {
		return "", []fault.Field{{Field: "content_type", Code: "INVALID", Detail: "must be a media type of at most 255 bytes"}}
	}
	return out, nil
}
