import java.time.Instant;
import java.util.Base64;
import java.util.Map;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.formats.avro.registry.confluent.AvroConfluentFormatOptions;
import org.apache.flink.formats.avro.registry.confluent.RegistryAvroFormatFactory;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.types.DataType;

/** One row by the format `avro-confluent`, as a table of nullable columns is written, with the registry that is named. */
public final class Flink {
  public static void main(String[] arguments) throws Exception {
    DataType type = DataTypes.ROW(
        DataTypes.FIELD("type", DataTypes.STRING()),
        DataTypes.FIELD("userId", DataTypes.STRING()),
        DataTypes.FIELD("event", DataTypes.STRING()),
        DataTypes.FIELD("timestamp", DataTypes.TIMESTAMP(3)),
        DataTypes.FIELD("properties", DataTypes.MAP(DataTypes.STRING(), DataTypes.BIGINT()))).notNull();
    RowData row = GenericRowData.of(
        StringData.fromString("track"),
        StringData.fromString("42"),
        StringData.fromString("Serialized"),
        TimestampData.fromInstant(Instant.parse("2026-03-04T04:06:07.890Z")),
        new GenericMapData(Map.of(StringData.fromString("whole"), 42L)));
    Configuration options = new Configuration();
    options.set(AvroConfluentFormatOptions.URL, arguments[0]);
    options.set(AvroConfluentFormatOptions.SUBJECT, "flink-value");
    SerializationSchema<RowData> format = new RegistryAvroFormatFactory()
        .createEncodingFormat(null, options)
        .createRuntimeEncoder(null, type);
    format.open(null);
    System.out.println("Flink, avro-confluent\t" + Base64.getEncoder().encodeToString(format.serialize(row)));
  }
}
