// OpenAI's own client: embeddings, the list of models, one model, and errors.
package main

import (
	"context"
	"errors"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"rejoinder/clients/connection"
)

func main() {
	ctx := context.Background()
	client := openai.NewClient(
		option.WithBaseURL(connection.URL+"/v1"), option.WithAPIKey(connection.Key), option.WithMaxRetries(0))
	answer, err := client.Embeddings.New(ctx, openai.EmbeddingNewParams{
		Model: connection.Model,
		Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: connection.Texts()},
		User:  openai.String("someone"),
	})
	connection.Check(err)
	vectors := [][]float64{}
	for _, row := range answer.Data {
		vectors = append(vectors, row.Embedding)
	}

	models, err := client.Models.List(ctx)
	connection.Check(err)
	if models.Data[0].ID != connection.Model {
		connection.Fail("list of models: %s", models.RawJSON())
	}
	model, err := client.Models.Get(ctx, connection.Model)
	connection.Check(err)
	if model.ID != connection.Model || model.Object != "model" {
		connection.Fail("model: %s", model.RawJSON())
	}

	_, err = client.Embeddings.New(ctx, openai.EmbeddingNewParams{
		Model: "other", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("a")}})
	var failure *openai.Error
	if !errors.As(err, &failure) || failure.StatusCode != 404 || failure.Message == "" {
		connection.Fail("an unknown model: %v", err)
	}
	_, err = client.Files.Get(ctx, "file")
	if !errors.As(err, &failure) || failure.StatusCode != 404 || failure.Message == "" {
		connection.Fail("a path that is not offered: %v", err)
	}
	connection.Print(map[string]any{"embeddings": vectors})
}
