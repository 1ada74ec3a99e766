"""LiteLLM: as OpenAI's API, as vLLM's, as Text Embeddings Inference, and behind its router."""

import os

# Without it, LiteLLM fetches its list of prices from the network when it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from connection import KEY, MODEL, OPENAI_URL, URL, print_vectors, read_texts

texts = read_texts()


def vectors(answer):
    return [row["embedding"] for row in answer.data]


def embed(model, address, **options):
    answer = litellm.embedding(model=model, input=texts, api_base=address, api_key=KEY, **options)
    return vectors(answer)


router = litellm.Router(
    model_list=[
        {
            "model_name": "replies",
            "litellm_params": {
                "model": f"openai/{MODEL}",
                "api_base": OPENAI_URL,
                "api_key": KEY,
            },
        }
    ]
)
print_vectors(
    openai=embed(f"openai/{MODEL}", OPENAI_URL),
    hosted_vllm=embed(f"hosted_vllm/{MODEL}", OPENAI_URL),
    # Without input_type, LiteLLM asks Hugging Face's hub what the model is for.
    text_embeddings_inference=embed(f"huggingface/{MODEL}", URL, input_type="feature-extraction"),
    router=vectors(router.embedding(model="replies", input=texts)),
)
