package httpapi

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"cloakroom.dev/files-svc/internal/files"
)

// inlineImages are the pictures a browser may show in place. SVG is a document with scripts and is not among them, and
// neither is PDF: viewers run what is in it.
var inlineImages = map[string]bool{
	"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true, "image/avif": true,
}

// sniffBytes is how much of a content tells its type.
const sniffBytes = 512

// mayInline reports whether a content may be shown in place: its type holds no script, and its bytes are of that type. The
// error is for bytes that can't be read.
func mayInline(c *files.Content) (bool, error) {
	declared, _, err := mime.ParseMediaType(c.File.ContentType)
	if err != nil || !inlineType(declared) {
		return false, nil
	}
	head := make([]byte, sniffBytes)
	n, err := c.Body.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return agrees(declared, sniff(head[:n])), nil
}

func inlineType(mediaType string) bool {
	return inlineImages[mediaType] || mediaType == "text/plain" || isMedia(mediaType)
}

func isMedia(mediaType string) bool {
	return strings.HasPrefix(mediaType, "audio/") || strings.HasPrefix(mediaType, "video/")
}

// agrees reports whether bytes that look like found may go by declared. Sounds and films share containers, so one name
// of that family is as good as another.
func agrees(declared, found string) bool {
	if isMedia(declared) {
		return isMedia(found) || found == "application/ogg"
	}
	return declared == found
}

// sniff is what browsers would take the bytes for; AVIF and TIFF, which net/http does not know, included.
func sniff(head []byte) string {
	if bytes.HasPrefix(head, []byte("II*\x00")) || bytes.HasPrefix(head, []byte("MM\x00*")) {
		return "image/tiff"
	}
	if len(head) >= 12 && bytes.Equal(head[4:8], []byte("ftyp")) {
		switch string(head[8:12]) {
		case "avif", "avis":
			return "image/avif"
		}
	}
	found, _, _ := strings.Cut(http.DetectContentType(head), ";")
	return found
}
