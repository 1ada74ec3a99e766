// Calls the server through the client that oapi-codegen makes of its OpenAPI description.
//
// Reads texts as JSON, and prints their vectors of each API as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	url, model := os.Getenv("REJOINDER_URL"), os.Getenv("REJOINDER_MODEL")
	var texts []string
	check(json.NewDecoder(os.Stdin).Decode(&texts))
	ctx := context.Background()
	client, err := NewClientWithResponses(url)
	check(err)
	vectors := map[string][][]float32{}

	var rows PredictByColumn
	rows.Inputs = texts
	var body PredictBody
	check(body.FromPredictByColumn(rows))
	predicted, err := client.PredictWithResponse(ctx, model, body)
	check(err)
	outputs, err := predicted.JSON200.AsOutputs()
	check(err)
	columns, err := outputs.Outputs.AsEncodedColumns()
	check(err)
	vectors["predict"] = columns.Embedding

	var request EmbeddingsRequest
	request.Model = &model
	check(request.Input.FromEmbeddingsRequestInput1(texts))
	embedded, err := client.EmbeddingsWithResponse(ctx, request)
	check(err)
	for _, entry := range embedded.JSON200.Data {
		vector, err := entry.Embedding.AsEmbeddingEmbedding0()
		check(err)
		vectors["embeddings"] = append(vectors["embeddings"], vector)
	}

	cohere, err := client.CohereEmbedWithResponse(ctx, CohereRequest{Model: model, Texts: &texts})
	check(err)
	vectors["cohere_embed"] = *cohere.JSON200.Embeddings.Float

	var tei TeiEmbedRequest
	check(tei.Inputs.FromTeiEmbedRequestInputs1(texts))
	plain, err := client.TeiEmbedWithResponse(ctx, tei)
	check(err)
	vectors["tei_embed"] = *plain.JSON200

	status, err := client.StatusWithResponse(ctx, model)
	check(err)
	if status.JSON200.ModelVersionStatus[0].State != "AVAILABLE" {
		check(fmt.Errorf("state %s", status.JSON200.ModelVersionStatus[0].State))
	}
	missing, err := client.EmbeddingsWithResponse(ctx, EmbeddingsRequest{Model: &url, Input: request.Input})
	check(err)
	if missing.JSON404 == nil || *missing.JSON404.Error.Code != "model_not_found" {
		check(fmt.Errorf("no error for another model"))
	}
	check(json.NewEncoder(os.Stdout).Encode(vectors))
}
