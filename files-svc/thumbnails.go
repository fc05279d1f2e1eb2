package filessvc

import (
	"github.com/prometheus/client_golang/prometheus"

	"cloakroom.dev/files-svc/internal/picture"
	"cloakroom.dev/libs/api/v1alpha1"
)

// thumbnails is a boot object's maker of thumbnails, or nil.
func thumbnails(s v1alpha1.FilesConfigSpec, reg prometheus.Registerer) *picture.Maker {
	t := s.Thumbnails
	if !t.Enabled {
		return nil
	}
	return picture.New(picture.Options{MaxPixels: t.MaxPixels, MaxBytes: t.MaxBytes.Bytes(), MemoryBytes: t.Memory.Bytes()}, reg)
}
