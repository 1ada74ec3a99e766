import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Map;

/** java.net.http.HttpClient with its defaults: it offers an upgrade to HTTP/2 in each request. */
class JdkClient {
  public static void main(String[] args) throws Exception {
    var mapper = new ObjectMapper();
    var texts = mapper.readValue(System.in, String[].class);
    var model = System.getenv("REJOINDER_MODEL");
    var uri = URI.create(System.getenv("REJOINDER_URL") + "/v1/models/" + model + ":predict");
    var body = mapper.writeValueAsString(Map.of("instances", texts));
    var client = HttpClient.newHttpClient();
    var request = HttpRequest.newBuilder(uri).POST(HttpRequest.BodyPublishers.ofString(body));
    var first = client.send(request.build(), BodyHandlers.ofString());
    var second = client.sendAsync(request.build(), BodyHandlers.ofString()).join();
    System.out.println(
        mapper.writeValueAsString(
            Map.of(
                "first", Predictions.vectors(mapper, first.body()),
                "on the same connection", Predictions.vectors(mapper, second.body()))));
  }
}
