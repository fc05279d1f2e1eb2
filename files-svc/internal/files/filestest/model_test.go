package filestest_test

import (
	"testing"

	"cloakroom.dev/files-svc/internal/files/filestest"
)

func TestModel(t *testing.T) {
	filestest.RunModel(t, func() (filestest.Stores, func()) { return filestest.Memory(), func() {} })
}
