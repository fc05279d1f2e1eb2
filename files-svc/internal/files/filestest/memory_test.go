package filestest_test

import (
	"testing"

	"cloakroom.dev/files-svc/internal/files"
	"cloakroom.dev/files-svc/internal/files/filestest"
	"cloakroom.dev/files-svc/internal/webhook"
)

func TestMemoryCatalog(t *testing.T) {
	filestest.RunCatalog(t, func(*testing.T) files.Catalog { return filestest.NewCatalog() })
	filestest.RunScrub(t, func(*testing.T) files.Catalog { return filestest.NewCatalog() })
}

func TestMemoryBlobs(t *testing.T) {
	filestest.RunBlobs(t, func(*testing.T) files.Blobs { return filestest.NewBlobs() })
}

func TestMemoryService(t *testing.T) {
	filestest.RunService(t, func(*testing.T) filestest.Stores { return filestest.Memory() })
}

func TestMemoryWebhooks(t *testing.T) {
	filestest.RunWebhooks(t, func(*testing.T) webhook.Store { return filestest.NewCatalog().Webhooks() })
}
