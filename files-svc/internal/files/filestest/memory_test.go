package filestest_test

import (
	"testing"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
)

func TestMemoryCatalog(t *testing.T) {
	filestest.RunCatalog(t, func(*testing.T) files.Catalog { return filestest.NewCatalog() })
}
