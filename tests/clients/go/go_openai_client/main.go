// go-openai (sashabaranov): embeddings as floats and as base64, the list of models, and errors.
package main

import (
	"context"
	"errors"

	"github.com/sashabaranov/go-openai"

	"rejoinder/clients/connection"
)

func main() {
	ctx := context.Background()
	config := openai.DefaultConfig(connection.Key)
	config.BaseURL = connection.URL + "/v1"
	client := openai.NewClientWithConfig(config)
	texts := connection.Texts()
	uses := map[string]any{}
	for _, format := range []openai.EmbeddingEncodingFormat{
		"", openai.EmbeddingEncodingFormatFloat, openai.EmbeddingEncodingFormatBase64,
	} {
		answer, err := client.CreateEmbeddings(ctx, openai.EmbeddingRequestStrings{
			Input: texts, Model: openai.EmbeddingModel(connection.Model), EncodingFormat: format})
		connection.Check(err)
		vectors := [][]float32{}
		for _, row := range answer.Data {
			vectors = append(vectors, row.Embedding)
		}
		uses["format "+string(format)] = vectors
	}
	models, err := client.ListModels(ctx)
	connection.Check(err)
	if models.Models[0].ID != connection.Model {
		connection.Fail("list of models: %v", models)
	}
	_, err = client.CreateEmbeddings(ctx, openai.EmbeddingRequestStrings{Input: texts, Model: "other"})
	var failure *openai.APIError
	if !errors.As(err, &failure) || failure.HTTPStatusCode != 404 || failure.Message == "" {
		connection.Fail("an unknown model: %v", err)
	}
	connection.Print(uses)
}
