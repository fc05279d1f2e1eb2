package filestest_test

import (
	"testing"

	"cloakroom.dev/files-svc/internal/files/filestest"
)

func TestUploadModel(t *testing.T) {
	filestest.RunUploadModel(t, func() (filestest.Stores, func()) { return filestest.Memory(), func() {} })
}

func TestMemoryUploads(t *testing.T) {
	filestest.RunUploads(t, func(*testing.T) filestest.Stores { return filestest.Memory() })
}
